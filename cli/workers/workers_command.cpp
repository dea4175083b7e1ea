#include "cli/workers/workers_command.h"

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/command/output.h"
#include "cli/remote/lane_paths.h"
#include "cli/remote/remote.h"
#include "cli/workers/worker_text.h"
#include "worker-runtime/base/percent_encode.h"

namespace lanekeeper::workers {
namespace {

using cli::Exit;
using nlohmann::json;

constexpr const char* kExamples = R"(Examples:
  lanekeeper workers media                  # of all its lanes
  lanekeeper workers media/gpu -o wide      # of one lane, with the ids of their jobs
  lanekeeper workers drain media/gpu media-gpu-7d9c-x2x7k)";
constexpr const char* kDrainExamples =
    R"(The worker takes no more jobs, finishes those it has, however long that takes, and ends; its
platform starts it anew then. No job is cut. May be repeated.
Example:
  lanekeeper workers drain media/gpu media-gpu-7d9c-x2x7k)";

struct Flags {
  cli::TargetFlags target;
  cli::Format format = cli::Format::kTable;
  std::string where;
  std::string worker;
};

Exit RunWorkers(const Flags& flags) {
  auto remote = cli::FindRemote(flags.target);
  if (!remote) return cli::Refuse(remote.error());
  const auto name = cli::ResolvePoolOrLane(**remote, flags.where);
  if (!name) return cli::Refuse(name.error());
  const std::string lane = name->lane.empty() ? "" : "?lane=" + PercentEncode(name->lane);
  const auto list = (*remote)->Get(cli::PoolPath(*name) + "/workers" + lane);
  if (!list) return cli::Refuse(list.error());
  cli::PrintItems(std::cout, flags.format, list->value("workers", json::array()), WorkerColumns(),
                  "No worker has reported in the last 16 seconds.");
  if (!list->value("complete", true)) {
    cli::Complain("some running jobs are not shown: too much has changed since they started");
  }
  return Exit::kOk;
}

Exit RunDrain(const Flags& flags) {
  auto remote = cli::FindRemote(flags.target);
  if (!remote) return cli::Refuse(remote.error());
  const auto name = cli::ResolveLane(**remote, flags.where);
  if (!name) return cli::Refuse(name.error());
  const auto drained = (*remote)->Call(
      {.method = "POST",
       .path = cli::LanePath(*name) + "/workers/" + PercentEncode(flags.worker) + "/drain",
       .headers = {},
       .content_type = {},
       .body = {}});
  if (!drained) return cli::Refuse(drained.error());
  if (flags.format == cli::Format::kTable || flags.format == cli::Format::kWide) {
    std::cout << cli::Printable(DrainText(*drained)) << '\n';
  } else {
    cli::PrintOne(std::cout, flags.format, *drained, {});
  }
  return Exit::kOk;
}

}  // namespace

void AddWorkersCommands(cli::Commands commands) {
  const auto flags = std::make_shared<Flags>();
  CLI::App* workers =
      commands.app.add_subcommand("workers", "Shows who runs what and for how long; drains one");
  workers->footer(kExamples);
  workers->add_option("pool", flags->where, "POOL, NAMESPACE/POOL, or either with /LANE");
  cli::AddOutputFlag(*workers, flags->format);
  cli::AddTargetFlags(*workers, flags->target);

  CLI::App* drain = workers->add_subcommand("drain", "Lets a worker finish, and start anew");
  drain->footer(kDrainExamples);
  drain->add_option("lane", flags->where, "POOL/LANE or NAMESPACE/POOL/LANE")->required();
  drain->add_option("worker", flags->worker, "as `lanekeeper workers` shows it")->required();
  cli::AddOutputFlag(*drain, flags->format);
  cli::AddTargetFlags(*drain, flags->target);
  drain->callback([flags, commands] { commands.run = [flags] { return RunDrain(*flags); }; });
  // Called after that of its subcommand.
  workers->callback([flags, commands, workers] {
    if (workers->get_subcommands().empty()) {
      commands.run = [flags] { return RunWorkers(*flags); };
    }
  });
}

}  // namespace lanekeeper::workers
