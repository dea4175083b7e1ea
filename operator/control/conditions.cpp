#include "operator/control/conditions.h"

#include <algorithm>

#include "operator/scaling/wording.h"

namespace lanekeeper {
namespace {

using scaling::Doubt;

// "short, long": those of which it is true.
template <typename Holds>
std::string NamesOf(const std::vector<LaneHealth>& lanes, Holds&& holds) {
  std::string names;
  for (const LaneHealth& lane : lanes) {
    if (!holds(lane)) continue;
    if (!names.empty()) names += ", ";
    names += lane.name;
  }
  return names;
}

Condition QueueReachable(const std::vector<LaneHealth>& lanes) {
  for (const LaneHealth& lane : lanes) {
    if (lane.doubt == Doubt::kNone || lane.doubt == Doubt::kNoSampleYet) continue;
    return {.type = "QueueReachable",
            .status = false,
            .reason = std::string(scaling::ReasonOf(lane.doubt)),
            .message = scaling::HeldSentence(lane.name, lane.doubt, lane.doubt_detail)};
  }
  return {.type = "QueueReachable",
          .status = true,
          .reason = std::string(scaling::ReasonOf(Doubt::kNone)),
          .message = scaling::AllLanesAnswerSentence(lanes.size())};
}

Condition Ready(const std::vector<LaneHealth>& lanes, bool paused, const Condition* reachable) {
  for (const LaneHealth& lane : lanes) {
    if (lane.workload_error) {
      return {.type = "Ready",
              .reason = "WorkloadFailed",
              .message = scaling::LaneSentence(lane.name, lane.workload_error->message)};
    }
  }
  if (reachable != nullptr && !reachable->status) {
    return {.type = "Ready", .reason = reachable->reason, .message = reachable->message};
  }
  for (const LaneHealth& lane : lanes) {
    if (lane.queue_error) {
      return {.type = "Ready",
              .reason = "QueueSetupFailed",
              .message = scaling::LaneSentence(lane.name, lane.queue_error->message)};
    }
  }
  if (reachable == nullptr) {
    return {.type = "Ready",
            .reason = std::string(scaling::ReasonOf(Doubt::kNoSampleYet)),
            .message = "Waiting for the first sample of every lane."};
  }
  if (paused) {
    return {.type = "Ready",
            .status = true,
            .reason = "Paused",
            .message = "The pool is paused: its lanes are sampled, not scaled."};
  }
  if (const std::string names = NamesOf(lanes, [](const LaneHealth& lane) { return lane.paused; });
      !names.empty()) {
    return {.type = "Ready",
            .status = true,
            .reason = "LanePaused",
            .message = scaling::LanesPausedSentence(names)};
  }
  return {.type = "Ready",
          .status = true,
          .reason = "Scaling",
          .message = "Every lane is sampled and scaled."};
}

Condition ScalingLimited(const std::vector<LaneHealth>& lanes) {
  for (const LaneHealth& lane : lanes) {
    if (!lane.limited) continue;
    return {.type = "ScalingLimited",
            .status = true,
            .reason = std::string(scaling::ToString(*lane.limited)),
            .message = scaling::LimitedSentence(lane.name, *lane.limited)};
  }
  return {.type = "ScalingLimited",
          .reason = "WithinLimits",
          .message = "No lane asks for more than its limits."};
}

Condition CapacityShort(const std::vector<LaneHealth>& lanes) {
  for (const LaneHealth& lane : lanes) {
    if (lane.no_room_why.empty()) continue;
    return {.type = "CapacityShort",
            .status = true,
            .reason = "NoRoom",
            .message = scaling::CapacityShortSentence(lane.name, lane.no_room_why)};
  }
  return {.type = "CapacityShort",
          .reason = "RoomForAll",
          .message = "There is room for every worker that was asked for."};
}

Condition WorkersReporting(const std::vector<LaneHealth>& lanes) {
  const std::string names = NamesOf(lanes, [](const LaneHealth& lane) { return lane.silent; });
  if (names.empty()) {
    return {.type = "WorkersReporting",
            .status = true,
            .reason = "Reporting",
            .message = "The workers report, or there are none."};
  }
  return {.type = "WorkersReporting",
          .reason = "NoReports",
          .message = scaling::WorkersSilentSentence(names)};
}

Condition DeadLetters(const std::vector<LaneHealth>& lanes) {
  const std::string names =
      NamesOf(lanes, [](const LaneHealth& lane) { return lane.dead_letters > 0; });
  if (names.empty()) {
    return {.type = "DeadLetters", .reason = "None", .message = "No dead letters."};
  }
  return {.type = "DeadLetters",
          .status = true,
          .reason = "Present",
          .message = scaling::DeadLettersSentence(names)};
}

bool NotSampledYet(const std::vector<LaneHealth>& lanes) {
  return std::any_of(lanes.begin(), lanes.end(),
                     [](const LaneHealth& lane) { return lane.doubt == Doubt::kNoSampleYet; });
}

}  // namespace

const Condition* FindCondition(const std::vector<Condition>& conditions, std::string_view type) {
  for (const Condition& condition : conditions) {
    if (condition.type == type) return &condition;
  }
  return nullptr;
}

std::vector<Condition> ConditionsOf(const std::vector<LaneHealth>& lanes, bool paused,
                                    const std::vector<Condition>& before, std::string_view now) {
  std::optional<Condition> reachable = QueueReachable(lanes);
  if (reachable->status && NotSampledYet(lanes)) {
    const Condition* old = FindCondition(before, "QueueReachable");
    reachable = old == nullptr ? std::nullopt : std::optional<Condition>(*old);
  }
  std::vector<Condition> conditions;
  conditions.push_back(Ready(lanes, paused, reachable ? &*reachable : nullptr));
  if (reachable) conditions.push_back(*reachable);
  conditions.push_back(ScalingLimited(lanes));
  conditions.push_back(CapacityShort(lanes));
  conditions.push_back(WorkersReporting(lanes));
  conditions.push_back(DeadLetters(lanes));
  for (Condition& condition : conditions) {
    const Condition* old = FindCondition(before, condition.type);
    const bool same = old != nullptr && old->status == condition.status;
    condition.last_transition = same ? old->last_transition : std::string(now);
  }
  return conditions;
}

std::vector<PoolEvent> EventsOf(const std::vector<Condition>& before,
                                const std::vector<Condition>& after) {
  std::vector<PoolEvent> events;
  for (const Condition& condition : after) {
    const Condition* old = FindCondition(before, condition.type);
    const bool good_when_true =
        condition.type == "QueueReachable" || condition.type == "WorkersReporting";
    const bool was = old == nullptr ? good_when_true : old->status;
    const bool same_reason = old != nullptr && old->reason == condition.reason;
    if (condition.type == "QueueReachable") {
      if (!condition.status && (was || !same_reason)) {
        events.push_back({true, condition.reason, condition.message});
      } else if (condition.status && !was) {
        events.push_back({false, "QueueReachable", condition.message});
      }
    } else if (condition.type == "Ready") {
      // An unreachable queue has its own event, above.
      const bool worth =
          condition.reason == "WorkloadFailed" || condition.reason == "QueueSetupFailed";
      if (!condition.status && worth && !same_reason) {
        events.push_back({true, condition.reason, condition.message});
      }
    } else if (condition.type == "WorkersReporting") {
      if (!condition.status && was) {
        events.push_back({true, condition.reason, condition.message});
      }
    } else if ((condition.type == "DeadLetters" || condition.type == "CapacityShort") &&
               condition.status && !was) {
      events.push_back({true, condition.type, condition.message});
    }
  }
  return events;
}

}  // namespace lanekeeper
