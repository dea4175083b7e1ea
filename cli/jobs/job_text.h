// Jobs as a person reads them. Pure.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "cli/command/output.h"
#include "worker-runtime/client/client.h"

namespace lanekeeper::jobs {

// Of the job that GET /v1/jobs/{id} answers.
std::vector<cli::Column> JobColumns(bool with_pool);
std::vector<cli::Field> JobFields(const nlohmann::json& job);

// One of its runs: a heading and what it ended with, in lines.
std::string RunText(std::size_t number, const nlohmann::json& run);

// Of one without runs: why there are none, as far as that is known.
std::string NoRunsText(const nlohmann::json& job);

// "running  attempt 2  40 %  resizing": a line of --follow. Without control characters.
std::string ChangeLine(const JobStatus& job);

// Why it is dead or cancelled: "job X is dead: attempts-used-up: disk full".
std::string EndText(const JobStatus& job);

}  // namespace lanekeeper::jobs
