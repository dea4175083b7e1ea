// The lanes of `lanekeeper up` as text: a table for a terminal, a line for everything else. Pure.
#pragma once

#include <string>
#include <vector>

#include "operator/control/pool_status.h"
#include "worker-runtime/job/names.h"

namespace lanekeeper::up {

struct LaneRow {
  LaneKey key;
  LaneStatus status;
  std::string doubt;  // Why the numbers are not fresh; empty: they are.
  bool operator==(const LaneRow&) const = default;
};

// One line a lane below a line of headings, none wider than `columns`, at most `lines` in all; what
// does not fit is counted in the last one. Without rows, a line that says so.
std::vector<std::string> LaneTable(const std::vector<LaneRow>& rows, int columns, int lines);

// "studio/media/short  waiting 3  running 2  …".
std::string LaneLine(const LaneRow& row);

}  // namespace lanekeeper::up
