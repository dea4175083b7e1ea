#include "cli/lanes/lanes_command.h"

#include <algorithm>
#include <chrono>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/command/output.h"
#include "cli/lanes/pool_lanes.h"
#include "cli/remote/lane_paths.h"
#include "cli/remote/remote.h"
#include "cli/up/screen.h"

namespace lanekeeper::lanes {
namespace {

using cli::Exit;
using cli::LaneName;
using nlohmann::json;

constexpr std::chrono::milliseconds kWatchInterval{1000};
constexpr std::chrono::milliseconds kWatchTimeoutMax{5000};
constexpr const char* kLanesExamples = R"(Examples:
  lanekeeper lanes                  # all lanes of all pools you may read
  lanekeeper lanes media            # those of one pool
  lanekeeper lanes media --watch    # drawn anew every second, until Ctrl-C
  lanekeeper lanes -o json)";

struct LanesFlags {
  cli::TargetFlags target;
  cli::Format format = cli::Format::kTable;
  std::string pool;
  bool watch = false;
};

ClientResult<std::vector<LaneName>> FindPools(cli::Remote& remote, const std::string& pool) {
  if (!pool.empty()) {
    auto name = remote.Resolve(pool, /*with_lane=*/false);
    if (!name) return tl::unexpected(std::move(name).error());
    return std::vector{*std::move(name)};
  }
  const auto list = remote.Get("/v1/pools");
  if (!list) return tl::unexpected(list.error());
  std::vector<LaneName> pools;
  for (const json& one : list->value("pools", json::array())) {
    pools.push_back({one.value("namespace", ""), one.value("pool", ""), ""});
  }
  return pools;
}

// The pools as the gateway shows them; one that went away in between is left out.
ClientResult<std::vector<json>> ReadPools(cli::Remote& remote, const std::string& pool) {
  const auto names = FindPools(remote, pool);
  if (!names) return tl::unexpected(names.error());
  std::vector<json> pools;
  for (const LaneName& name : *names) {
    auto shown = remote.Get(cli::PoolPath(name));
    if (shown) {
      pools.push_back(*std::move(shown));
    } else if (!pool.empty() || shown.error().kind != ErrorKind::kNotFound) {
      return tl::unexpected(std::move(shown).error());
    }
  }
  return pools;
}

// Until a signal. A gateway that is away for a while is said so once, and asked again.
Exit Watch(cli::Remote& remote, const std::string& pool, StopSignal& stop) {
  up::Screen screen;
  std::vector<up::LaneRow> rows;
  std::string trouble;
  while (true) {
    std::vector<std::string> notes;
    const auto pools = ReadPools(remote, pool);
    if (pools) {
      rows.clear();
      for (const json& one : *pools) {
        for (up::LaneRow& row : RowsOf(one)) rows.push_back(std::move(row));
      }
      if (!trouble.empty()) notes.push_back(remote.where() + " answers again.");
      trouble.clear();
    } else if (pools.error().kind != ErrorKind::kRetryable) {
      return cli::Refuse(pools.error());
    } else if (trouble != pools.error().message) {
      trouble = pools.error().message;
      notes.push_back(cli::Printable(trouble));
    }
    screen.Show(notes, rows);
    if (stop.WaitFor(kWatchInterval)) return Exit::kOk;
  }
}

Exit RunWatch(const LanesFlags& flags, StopSignal& stop) {
  if (flags.format != cli::Format::kTable) {
    cli::Complain("--watch is for people and has no -o; ask again for each -o json");
    return Exit::kUsage;
  }
  cli::TargetFlags target = flags.target;
  // Ctrl-C is heard between two looks only.
  target.timeout = std::min(target.timeout, kWatchTimeoutMax);
  auto remote = cli::Remote::Find(target);
  if (!remote) return cli::Refuse(remote.error());
  return Watch(**remote, flags.pool, stop);
}

Exit RunLanes(const LanesFlags& flags) {
  auto remote = cli::FindRemote(flags.target);
  if (!remote) return cli::Refuse(remote.error());
  const auto pools = ReadPools(**remote, flags.pool);
  if (!pools) return cli::Refuse(pools.error());
  json lanes = json::array();
  for (const json& pool : *pools) {
    for (json& lane : LanesOf(pool)) lanes.push_back(std::move(lane));
  }
  cli::PrintItems(std::cout, flags.format, lanes, LaneColumns(), "No lanes.");
  return Exit::kOk;
}

}  // namespace

void AddLanesCommands(cli::Commands commands) {
  const auto flags = std::make_shared<LanesFlags>();
  CLI::App* lanes = commands.app.add_subcommand(
      "lanes", "Shows the lanes: what waits and runs, workers, the last decision");
  lanes->footer(kLanesExamples);
  lanes->add_option("pool", flags->pool, "POOL or NAMESPACE/POOL; else all");
  lanes->add_flag("-w,--watch", flags->watch,
                  "goes on until Ctrl-C; without a terminal, a line a change");
  cli::AddOutputFlag(*lanes, flags->format);
  cli::AddTargetFlags(*lanes, flags->target);
  lanes->callback([flags, commands] {
    commands.run = [flags, &stop = commands.stop] {
      return flags->watch ? RunWatch(*flags, stop) : RunLanes(*flags);
    };
  });
  AddExplainCommand(commands);
  AddPauseCommands(commands);
}

}  // namespace lanekeeper::lanes
