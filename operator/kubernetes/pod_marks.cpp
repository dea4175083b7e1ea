#include "operator/kubernetes/pod_marks.h"

#include <charconv>
#include <utility>

#include "operator/kubernetes/json_access.h"

namespace lanekeeper::kubernetes {
namespace {

using nlohmann::json;

int CostOf(const json& pod) {
  const std::string text = TextAt(pod, {"metadata", "annotations", kAnnotationDeletionCost});
  int cost = 0;
  std::from_chars(text.data(), text.data() + text.size(), cost);
  return cost;
}

// `name` is an entry of `list`, which has commas between its entries.
bool Lists(const std::string& list, const std::string& name) {
  return ("," + list + ",").find("," + name + ",") != std::string::npos;
}

void PutShieldsOn(json& annotations, const PodMarks& has) {
  std::string ours;
  for (std::size_t i = 0; i < kShields.size(); ++i) {
    if (has.theirs[i]) continue;
    annotations[kShields[i].annotation] = kShields[i].value;
    ours += (ours.empty() ? "" : ",") + std::string(kShields[i].annotation);
  }
  annotations[kAnnotationShield] = std::move(ours);
}

void TakeShieldsOff(json& annotations, const PodMarks& has) {
  for (std::size_t i = 0; i < kShields.size(); ++i) {
    if (has.ours[i]) annotations[kShields[i].annotation] = nullptr;
  }
  annotations[kAnnotationShield] = nullptr;
}

}  // namespace

PodMarks ReadMarks(const json& pod) {
  PodMarks has;
  has.marks.first_to_go = CostOf(pod) < 0;
  const json* shield = At(pod, {"metadata", "annotations", kAnnotationShield});
  has.marks.shielded = shield != nullptr && shield->is_string();
  const std::string ours = has.marks.shielded ? shield->get<std::string>() : "";
  for (std::size_t i = 0; i < kShields.size(); ++i) {
    const std::string name = kShields[i].annotation;
    const bool there = At(pod, {"metadata", "annotations", name}) != nullptr;
    has.ours[i] = there && Lists(ours, name);
    has.theirs[i] = there && !has.ours[i];
  }
  return has;
}

std::optional<std::string> MarkPatch(const std::string& uid, const PodMarks& has,
                                     const WorkerMarks& wanted) {
  if (has.marks == wanted) return std::nullopt;
  json annotations = json::object();
  if (has.marks.first_to_go != wanted.first_to_go) {
    annotations[kAnnotationDeletionCost] =
        wanted.first_to_go ? json(kCostOfTheFirstToGo) : json(nullptr);
  }
  if (!has.marks.shielded && wanted.shielded) PutShieldsOn(annotations, has);
  if (has.marks.shielded && !wanted.shielded) TakeShieldsOff(annotations, has);
  return DumpJson({{"metadata", {{"uid", uid}, {"annotations", std::move(annotations)}}}});
}

}  // namespace lanekeeper::kubernetes
