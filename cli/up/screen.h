// Standard output while `lanekeeper up` runs: on a terminal a table that is drawn anew in its place
// below the notes, else a line per note and per change of a lane.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cli/up/lane_table.h"

namespace lanekeeper::up {

// One thread.
class Screen {
 public:
  Screen();

  bool on_terminal() const { return on_terminal_; }
  void Show(const std::vector<std::string>& notes, const std::vector<LaneRow>& rows);

 private:
  void ShowLines(const std::vector<std::string>& notes, const std::vector<LaneRow>& rows);
  void Redraw(const std::vector<std::string>& notes, const std::vector<LaneRow>& rows);

  const bool on_terminal_;
  std::vector<std::string> table_;        // As it stands on the terminal.
  std::map<LaneKey, std::string> lines_;  // Printed last.
};

}  // namespace lanekeeper::up
