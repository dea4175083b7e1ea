// `lanekeeper pause` and `lanekeeper resume`.
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/command/output.h"
#include "cli/lanes/lanes_command.h"
#include "cli/remote/lane_paths.h"
#include "cli/remote/remote.h"

namespace lanekeeper::lanes {
namespace {

using cli::Exit;
using nlohmann::json;

constexpr const char* kPauseExamples =
    R"(Jobs are taken and running ones go on; no others are started.
Examples:
  lanekeeper pause media/gpu --for 30m --reason "driver update"
  lanekeeper pause media/gpu --until 2026-12-01T06:00:00Z)";
constexpr const char* kResumeExamples = R"(Example:
  lanekeeper resume media/gpu)";

struct PauseFlags {
  cli::TargetFlags target;
  cli::Format format = cli::Format::kTable;
  std::string lane;
  std::string length;
  std::string until;
  std::string reason;
};

Exit RunPause(const PauseFlags& flags) {
  auto remote = cli::FindRemote(flags.target);
  if (!remote) return cli::Refuse(remote.error());
  const auto name = cli::ResolveLane(**remote, flags.lane);
  if (!name) return cli::Refuse(name.error());
  json body = json::object();
  if (!flags.until.empty()) {
    body["until"] = flags.until;
  } else {
    body["for"] = flags.length.empty() ? "1h" : flags.length;
  }
  if (!flags.reason.empty()) body["reason"] = flags.reason;
  const auto paused = (*remote)->Call({.method = "POST",
                                       .path = cli::LanePath(*name) + "/pause",
                                       .headers = {},
                                       .content_type = "application/json",
                                       .body = body.dump()});
  if (!paused) return cli::Refuse(paused.error());
  if (flags.format == cli::Format::kTable || flags.format == cli::Format::kWide) {
    std::cout << "Lane " << cli::Shown(*name) << " is paused until "
              << cli::Printable(cli::TextAt(*paused, "/until")) << ".\n";
  } else {
    cli::PrintOne(std::cout, flags.format, *paused, {});
  }
  return Exit::kOk;
}

Exit RunResume(const PauseFlags& flags) {
  auto remote = cli::FindRemote(flags.target);
  if (!remote) return cli::Refuse(remote.error());
  const auto name = cli::ResolveLane(**remote, flags.lane);
  if (!name) return cli::Refuse(name.error());
  const auto resumed = (*remote)->Call({.method = "POST",
                                        .path = cli::LanePath(*name) + "/resume",
                                        .headers = {},
                                        .content_type = {},
                                        .body = {}});
  if (!resumed) return cli::Refuse(resumed.error());
  if (flags.format == cli::Format::kTable || flags.format == cli::Format::kWide) {
    std::cout << "Lane " << cli::Shown(*name) << " goes on.\n";
  } else {
    cli::PrintOne(std::cout, flags.format, {{"lane", name->lane}, {"paused", false}}, {});
  }
  return Exit::kOk;
}

}  // namespace

void AddPauseCommands(cli::Commands commands) {
  const auto flags = std::make_shared<PauseFlags>();
  CLI::App* pause = commands.app.add_subcommand("pause", "Starts no jobs of a lane for a while");
  pause->footer(kPauseExamples);
  pause->add_option("lane", flags->lane, "POOL/LANE or NAMESPACE/POOL/LANE")->required();
  CLI::Option* length = pause->add_option("--for", flags->length, "such as 30m, at most 720h [1h]")
                            ->type_name("DURATION");
  pause->add_option("--until", flags->until, "RFC 3339: 2026-12-01T06:00:00Z")
      ->type_name("TIME")
      ->excludes(length);
  pause->add_option("--reason", flags->reason, "for people who wonder")->type_name("TEXT");
  cli::AddOutputFlag(*pause, flags->format);
  cli::AddTargetFlags(*pause, flags->target);
  pause->callback([flags, commands] { commands.run = [flags] { return RunPause(*flags); }; });

  CLI::App* resume = commands.app.add_subcommand("resume", "Starts jobs of a paused lane again");
  resume->footer(kResumeExamples);
  resume->add_option("lane", flags->lane, "POOL/LANE or NAMESPACE/POOL/LANE")->required();
  cli::AddOutputFlag(*resume, flags->format);
  cli::AddTargetFlags(*resume, flags->target);
  resume->callback([flags, commands] { commands.run = [flags] { return RunResume(*flags); }; });
}

}  // namespace lanekeeper::lanes
