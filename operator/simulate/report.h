// What came of a simulation, for people and for other programs. Pure: text in memory.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "operator/simulate/simulation.h"

namespace lanekeeper::simulate {

// One line of the report: a policy on a lane. In a lane that others share, the jobs of each have a
// line of waits without the rest.
struct ReportRow {
  struct Work {
    double worker_seconds = 0;
    std::int64_t cold_starts = 0;
    std::int64_t reversals = 0;
    std::int64_t kills = 0;
    std::int64_t unfinished = 0;
  };
  std::string policy;
  std::string lane;
  Waits waits;
  std::optional<Work> work;
};

ReportRow::Work WorkOf(const LaneOutcome& lane);

// Columns under a header, aligned.
std::string WriteTable(const std::vector<ReportRow>& rows);
// The same, for programs: header policy,lane,jobs,wait_p50_seconds,… Empty fields where there is no
// work of its own.
std::string WriteCsv(const std::vector<ReportRow>& rows);

// The course of one policy in one lane.
struct Curve {
  std::string policy;
  std::vector<Moment> course;
};
struct Panel {
  std::string lane;
  std::vector<Curve> curves;  // At most six. The backlog drawn is that of the first.
};

// One panel a lane: the backlog as an area, the workers of each policy as lines over it.
std::string WriteSvg(const std::vector<Panel>& panels);

}  // namespace lanekeeper::simulate
