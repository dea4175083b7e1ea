// Dead letters as tables and text. Pure.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command/output.h"

namespace lanekeeper::dead {

std::vector<cli::Column> LetterColumns();
std::vector<cli::Column> GroupColumns();
std::vector<cli::Field> LetterFields(const nlohmann::json& letter);

// The sequence of a dead letter; nothing when the text is none, and so may be the id of a job.
std::optional<std::uint64_t> SequenceOf(std::string_view text);

// What a replay or discard of many has come to, over all its calls.
struct Progress {
  std::int64_t done = 0;
  std::int64_t kept = 0;
  std::string kept_why;
  std::string ended_by;
  bool complete = false;
};
// Adds the answer of one more call.
void Add(Progress& progress, const nlohmann::json& answer);
// "12 dead letters were sent again; 2 are still there: …". `done`: "sent again", "discarded".
std::string ProgressText(const Progress& progress, std::string_view done);
nlohmann::json ProgressJson(const Progress& progress);

}  // namespace lanekeeper::dead
