// What a pod is marked with, as annotations. Pure.
//
// first to go   a deletion cost below zero. Ours is kCostOfTheFirstToGo; templates may carry none.
// shielded      both kShields. Those the person's template carries already stay as they are, put on
//               and taken off by nobody but the person; kAnnotationShield says which are ours.
#pragma once

#include <array>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "operator/control/ports.h"
#include "operator/kubernetes/object_names.h"

namespace lanekeeper::kubernetes {

struct PodMarks {
  WorkerMarks marks;
  std::array<bool, kShields.size()> ours{};    // Which shields we have put on.
  std::array<bool, kShields.size()> theirs{};  // Which are there, and not by us.
  bool operator==(const PodMarks&) const = default;
};

PodMarks ReadMarks(const nlohmann::json& pod);

// The merge patch that turns what the pod with this uid has into `wanted`; nothing when there is
// nothing to change. Another pod of the same name refuses it (409).
std::optional<std::string> MarkPatch(const std::string& uid, const PodMarks& has,
                                     const WorkerMarks& wanted);

}  // namespace lanekeeper::kubernetes
