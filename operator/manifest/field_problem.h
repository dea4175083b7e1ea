// What is wrong with one field of a manifest.
#pragma once

#include <string>

namespace lanekeeper {

struct FieldProblem {
  std::string field;    // "spec.lanes[0].workers.max"
  std::string problem;  // A clause: "must be at least 1, is 0".
  bool operator==(const FieldProblem&) const = default;
};

}  // namespace lanekeeper
