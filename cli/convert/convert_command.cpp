#include "cli/convert/convert_command.h"

#include <algorithm>
#include <iostream>
#include <memory>

#include "cli/command/output.h"
#include "cli/convert/convert.h"
#include "operator/manifest/manifest_file.h"

namespace lanekeeper::convert {
namespace {

// A line for each problem, as they come.
void PrintError(std::ostream& err, const std::string& message) {
  std::size_t start = 0;
  while (start <= message.size()) {
    const std::size_t end = std::min(message.find('\n', start), message.size());
    err << "lanekeeper: " << cli::Printable(message.substr(start, end - start)) << '\n';
    start = end + 1;
  }
}

}  // namespace

cli::Exit RunConvert(const ConvertFlags& flags, std::istream& in, std::ostream& out,
                     std::ostream& err) {
  std::vector<ConvertInput> inputs;
  for (const std::string& file : flags.files) {
    Result<std::string> text = ReadManifestText(file, in);
    if (!text) {
      PrintError(err, text.error().message);
      return cli::Exit::kUsage;
    }
    inputs.push_back({file == "-" ? "standard input" : file, *std::move(text)});
  }
  const Result<Converted> converted = Convert(inputs, {.pool = flags.pool});
  if (!converted) {
    PrintError(err, converted.error().message);
    return cli::Exit::kUsage;
  }
  out << converted->yaml;
  for (const std::string& note : converted->notes) err << "# " << cli::Printable(note) << '\n';
  return cli::Exit::kOk;
}

void AddConvertCommands(cli::Commands commands) {
  const auto flags = std::make_shared<ConvertFlags>();
  CLI::App* convert = commands.app.add_subcommand(
      "convert",
      "Makes WorkerPools of KEDA ScaledObjects with nats-jetstream triggers and their "
      "Deployments.\n"
      "What has no equivalent is said on standard error and at the top of the manifest.\n"
      "Exit status: 0 converted, 2 something cannot be");
  convert->footer(
      "Examples:\n"
      "  lanekeeper convert scaledobject.yaml deployment.yaml >pool.yaml\n"
      "  kubectl get scaledobjects,deployments -n studio -o yaml | lanekeeper convert - "
      ">pools.yaml\n"
      "  helm template my-chart | lanekeeper convert --pool media - | lanekeeper validate -");
  convert->add_option("FILE", flags->files, "YAML files; - is standard input")->required();
  convert->add_option(
      "--pool", flags->pool,
      "one pool of this name with a lane for each trigger, instead of a pool for each "
      "ScaledObject");
  convert->callback([flags, &run = commands.run] {
    run = [flags] { return RunConvert(*flags, std::cin, std::cout, std::cerr); };
  });
}

}  // namespace lanekeeper::convert
