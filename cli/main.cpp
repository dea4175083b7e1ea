// lanekeeper: one command for everything people do with it.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <functional>
#include <iostream>
#include <string>

#include "cli/up/up_command.h"
#include "cli/validate/validate.h"
#include "cli/verify/verify_command.h"
#include "operator/simulate/simulate_flags.h"
#include "worker-runtime/base/stop_signal.h"

namespace {

using namespace lanekeeper;  // NOLINT: a main file.

// 2: the input is wrong; 1: it did not work.
int ExitOf(const Result<void>& result) {
  if (result) return 0;
  std::fprintf(stderr, "lanekeeper: %s\n", result.error().message.c_str());
  return result.error().kind == ErrorKind::kInvalid ? 2 : 1;
}

// What was chosen, and everything the flags of any command are parsed into.
struct Chosen {
  std::function<int()> run;
  up::UpOptions up;
  simulate::SimulateOptions simulate;
  verify::VerifyOptions verify;
  std::string manifest;
};

void AddCommands(CLI::App& app, Chosen& chosen, StopSignal& stop) {
  CLI::App* up = app.add_subcommand("up", up::kUpDescription);
  up->footer(up::kUpExamples);
  up::AddUpFlags(*up, chosen.up);
  up->callback([&] { chosen.run = [&] { return ExitOf(up::RunUp(chosen.up, stop)); }; });

  CLI::App* validate = app.add_subcommand("validate", validate::kDescription);
  validate->add_option("file", chosen.manifest, "a YAML file; - is standard input")->required();
  validate->callback([&] {
    chosen.run = [&] { return validate::Validate(chosen.manifest, std::cin, std::cout); };
  });

  CLI::App* simulated = app.add_subcommand("simulate", simulate::kSimulateDescription);
  simulate::AddSimulateFlags(*simulated, chosen.simulate);
  simulated->callback([&] {
    chosen.run = [&] { return ExitOf(simulate::RunSimulate(chosen.simulate, std::cout)); };
  });

  CLI::App* verified = app.add_subcommand("verify", verify::kVerifyDescription);
  verify::AddVerifyFlags(*verified, chosen.verify);
  verified->callback([&] { chosen.run = [&] { return verify::RunVerify(chosen.verify); }; });

  CLI::App* version = app.add_subcommand("version", "Prints the version");
  version->callback([&] {
    chosen.run = [] {
      std::printf("lanekeeper %s\n", LANEKEEPER_VERSION);
      return 0;
    };
  });
}

}  // namespace

int main(int argc, char** argv) {
  StopSignal stop;  // Before any thread.
  CLI::App app("Background jobs in separate lanes.", "lanekeeper");
  app.set_version_flag("--version", LANEKEEPER_VERSION);
  app.require_subcommand(1);
  Chosen chosen;
  AddCommands(app, chosen, stop);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return chosen.run();
}
