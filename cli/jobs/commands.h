// The parts of AddJobsCommands.
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cli/command/command.h"
#include "cli/command/output.h"
#include "cli/remote/remote.h"

namespace lanekeeper::jobs {

void AddSubmitCommand(cli::Commands commands);
// Below `jobs`: show, logs, watch; cancel, retry.
void AddShowCommands(CLI::App& jobs, cli::Commands commands);
void AddChangeCommands(CLI::App& jobs, cli::Commands commands);

// What commands about jobs by id take.
struct IdOptions {
  cli::TargetFlags target;
  cli::Format format = cli::Format::kTable;
  std::vector<std::string> ids;
  std::string pool;  // Empty: the ids say which, or there is only one.
};
void AddIdFlags(CLI::App& app, IdOptions& options, bool many);

// The pool that was named, or the only one, for JobPath; an empty LaneName when none was named and
// the id says it.
ClientResult<cli::LaneName> PoolOf(cli::Remote& remote, const std::string& pool,
                                   const std::string& id);
// The pool of a job, as the gateway shows it.
cli::LaneName PoolOfJob(const nlohmann::json& job);
// Of a job by its id, in that pool.
std::string JobPath(const cli::LaneName& pool, const std::string& id);

// Finds the gateway and runs `act` on it; Ctrl-C ends it.
cli::Exit WithRemote(const cli::TargetFlags& target,
                     const std::function<cli::Exit(cli::Remote&)>& act);

// The dead letter of a job that is dead, as /dead lists it. kNotFound when there is none any more.
ClientResult<nlohmann::json> FindDeadLetter(cli::Remote& remote, const nlohmann::json& job);

}  // namespace lanekeeper::jobs
