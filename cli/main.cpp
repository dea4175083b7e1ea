// lanekeeper: one command for everything people do with it.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <exception>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "cli/command/command.h"
#include "cli/completion/completion.h"
#include "cli/convert/convert_command.h"
#include "cli/dead/dead_command.h"
#include "cli/jobs/jobs_command.h"
#include "cli/lanes/lanes_command.h"
#include "cli/up/up_command.h"
#include "cli/validate/validate.h"
#include "cli/verify/verify_command.h"
#include "cli/workers/workers_command.h"
#include "operator/simulate/simulate_flags.h"
#include "worker-runtime/base/stop_signal.h"

namespace {

using namespace lanekeeper;  // NOLINT: a main file.
using cli::Commands;
using cli::Exit;

// Of commands that need no gateway: their input is wrong, or it did not work.
Exit ExitOf(const Result<void>& result) {
  if (result) return Exit::kOk;
  cli::Complain(result.error().message);
  return result.error().kind == ErrorKind::kInvalid ? Exit::kUsage : Exit::kFailed;
}

void AddUpCommand(Commands commands) {
  const auto options = std::make_shared<up::UpOptions>();
  CLI::App* up = commands.app.add_subcommand("up", up::kUpDescription);
  up->footer(up::kUpExamples);
  up::AddUpFlags(*up, *options);
  up->callback([options, &run = commands.run, &stop = commands.stop] {
    run = [options, &stop] { return ExitOf(up::RunUp(*options, stop)); };
  });
}

void AddOfflineCommands(Commands commands) {
  validate::AddValidateCommands(commands);
  convert::AddConvertCommands(commands);

  const auto simulation = std::make_shared<simulate::SimulateOptions>();
  CLI::App* simulate = commands.app.add_subcommand("simulate", simulate::kSimulateDescription);
  simulate->footer(
      "Examples:\n"
      "  lanekeeper simulate --pool pool.yaml --trace jobs.csv\n"
      "  lanekeeper simulate --pool pool.yaml --trace jobs.csv --shared long --svg plot.svg");
  simulate::AddSimulateFlags(*simulate, *simulation);
  simulate->callback([simulation, &run = commands.run] {
    run = [simulation] { return ExitOf(simulate::RunSimulate(*simulation, std::cout)); };
  });
}

void AddVerifyCommand(Commands commands) {
  const auto options = std::make_shared<verify::VerifyOptions>();
  CLI::App* verify = commands.app.add_subcommand("verify", verify::kVerifyDescription);
  verify->footer(
      "Examples:\n"
      "  lanekeeper verify --namespace studio --pool media --lane short --accepted ids.txt\n"
      "  producer | tee ids.txt | lanekeeper verify --pool media --lane short --accepted -");
  verify::AddVerifyFlags(*verify, *options);
  verify->callback([options, &run = commands.run] {
    run = [options] { return static_cast<Exit>(verify::RunVerify(*options)); };
  });
}

void AddVersionCommand(Commands commands) {
  CLI::App* version = commands.app.add_subcommand("version", "Prints the version");
  version->callback([&run = commands.run] {
    run = [] {
      std::printf("lanekeeper %s\n", LANEKEEPER_VERSION);
      return Exit::kOk;
    };
  });
}

void AddCommands(Commands commands) {
  AddUpCommand(commands);
  jobs::AddJobsCommands(commands);
  dead::AddDeadCommands(commands);
  lanes::AddLanesCommands(commands);
  workers::AddWorkersCommands(commands);
  AddOfflineCommands(commands);
  AddVerifyCommand(commands);
  completion::AddCompletionCommand(commands);
  AddVersionCommand(commands);
}

// As kubectl's plugin it goes by another name.
std::string NameOf(const std::string& program) {
  const std::string name = program.substr(program.rfind('/') + 1);  // npos + 1 is 0.
  return name == "kubectl-lanekeeper" ? "kubectl lanekeeper" : "lanekeeper";
}

Exit Run(int argc, char** argv, StopSignal& stop) {
  CLI::App app("Background jobs in separate lanes.", NameOf(argv[0]));
  app.set_version_flag("--version", LANEKEEPER_VERSION);
  app.require_subcommand(1);
  std::function<Exit()> run;
  AddCommands({app, stop, run});
  if (argc > 1 && std::string(argv[1]) == completion::kCompleteWord) {
    completion::PrintCandidates(app, {argv + 2, argv + argc}, std::cout);
    return Exit::kOk;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return cli::EndParse(app, error);
  }
  return run();
}

}  // namespace

int main(int argc, char** argv) {
  StopSignal stop;  // Before any thread.
  try {
    return static_cast<int>(Run(argc, argv, stop));
  } catch (const std::exception& error) {
    // An answer of another shape than this version knows, mostly.
    cli::Complain(std::string("something unexpected: ") + error.what());
    return static_cast<int>(Exit::kFailed);
  }
}
