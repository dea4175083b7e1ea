// `dead replay` and `dead discard`: those named, those of a group, or all.
#pragma once

#include <string>
#include <vector>

#include "cli/command/command.h"
#include "cli/command/output.h"
#include "cli/remote/remote.h"

namespace lanekeeper::dead {

struct ChangeFlags {
  cli::TargetFlags target;
  cli::Format format = cli::Format::kTable;
  std::string pool;
  std::vector<std::string> letters;  // Sequences or ids of jobs.
  std::string group;                 // A fingerprint.
  bool all = false;
  std::string lane;  // With all: of those that died there only.
  // Replay only.
  double per_second = 0;  // 0: as fast as it goes.
  std::string to_lane;    // Else where each died.
  // Discard only.
  bool yes = false;
};

cli::Exit RunReplay(const ChangeFlags& flags);
cli::Exit RunDiscard(const ChangeFlags& flags);

// The sequence of the letter that `text` names: a sequence, or the id of the job that died.
// kNotFound after looking at a bounded number of letters.
ClientResult<std::uint64_t> FindLetter(cli::Remote& remote, const std::string& pool_path,
                                       const std::string& text);

}  // namespace lanekeeper::dead
