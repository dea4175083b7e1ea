// `lanekeeper explain`: why a lane has as many workers as it has.
#include <chrono>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/command/output.h"
#include "cli/lanes/explain_text.h"
#include "cli/lanes/lanes_command.h"
#include "cli/remote/lane_paths.h"
#include "cli/remote/remote.h"

namespace lanekeeper::lanes {
namespace {

using cli::Exit;
using nlohmann::json;

constexpr const char* kExplainExamples = R"(Examples:
  lanekeeper explain media/short          # numbers, rules, what holds it, the last 5 decisions
  lanekeeper explain studio/media/short -n 50
  lanekeeper explain media/short -o json)";

struct ExplainFlags {
  cli::TargetFlags target;
  cli::Format format = cli::Format::kTable;
  std::string lane;
  int decisions = 5;
};

Exit RunExplain(const ExplainFlags& flags) {
  auto remote = cli::FindRemote(flags.target);
  if (!remote) return cli::Refuse(remote.error());
  const auto name = cli::ResolveLane(**remote, flags.lane);
  if (!name) return cli::Refuse(name.error());
  const auto pool = (*remote)->Get(cli::PoolPath(*name));
  if (!pool) return cli::Refuse(pool.error());
  json decisions = json::array();
  if (flags.decisions > 0) {
    const auto list = (*remote)->Get(cli::LanePath(*name) +
                                     "/decisions?limit=" + std::to_string(flags.decisions));
    if (!list) return cli::Refuse(list.error());
    decisions = list->value("decisions", json::array());
  }
  if (flags.format == cli::Format::kTable || flags.format == cli::Format::kWide) {
    std::cout << ExplainText(*pool, name->lane, decisions, std::chrono::system_clock::now());
  } else {
    cli::PrintOne(std::cout, flags.format, ExplainJson(*pool, name->lane, decisions), {});
  }
  return Exit::kOk;
}

}  // namespace

void AddExplainCommand(cli::Commands commands) {
  const auto flags = std::make_shared<ExplainFlags>();
  CLI::App* explain =
      commands.app.add_subcommand("explain", "Says why a lane has as many workers as it has");
  explain->footer(kExplainExamples);
  explain->add_option("lane", flags->lane, "POOL/LANE or NAMESPACE/POOL/LANE")->required();
  explain->add_option("-n,--decisions", flags->decisions, "how many past decisions to show [5]")
      ->check(CLI::Range(0, 200))
      ->type_name("N");
  cli::AddOutputFlag(*explain, flags->format);
  cli::AddTargetFlags(*explain, flags->target);
  explain->callback([flags, commands] { commands.run = [flags] { return RunExplain(*flags); }; });
}

}  // namespace lanekeeper::lanes
