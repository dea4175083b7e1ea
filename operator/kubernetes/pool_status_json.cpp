// The status of a WorkerPool, both ways. See worker_pool_json.h.
#include <utility>

#include "operator/kubernetes/json_access.h"
#include "operator/kubernetes/worker_pool_json.h"

namespace lanekeeper::kubernetes {
namespace {

using nlohmann::json;

json ToJson(const Condition& condition, std::int64_t observed_generation) {
  return {{"type", condition.type},
          {"status", condition.status ? "True" : "False"},
          {"reason", condition.reason},
          {"message", condition.message},
          {"lastTransitionTime", condition.last_transition},
          {"observedGeneration", observed_generation}};
}

json ToJson(const LaneStatus& lane) {
  json object = {{"name", lane.name},
                 {"waiting", lane.waiting},
                 {"running", lane.running},
                 {"parked", lane.parked},
                 {"oldestWaitSeconds", lane.oldest_wait_seconds},
                 {"deadLetters", lane.dead_letters},
                 {"workers",
                  {{"desired", lane.workers_desired},
                   {"ready", lane.workers_ready},
                   {"busy", lane.workers_busy},
                   {"idle", lane.workers_idle},
                   {"draining", lane.workers_draining},
                   {"unschedulable", lane.workers_unschedulable}}}};
  if (lane.paused) object["paused"] = true;
  if (lane.predicted_wait_seconds >= 0) {
    object["predictedWaitSeconds"] = lane.predicted_wait_seconds;
  }
  if (!lane.release.empty()) object["release"] = lane.release;
  if (lane.decision_time.empty()) return object;  // There was none yet.
  json terms = json::array();
  for (const DecisionTerm& term : lane.decision_terms) {
    terms.push_back({{"term", term.term}, {"workers", term.workers}, {"note", term.note}});
  }
  object["decision"] = {{"workers", lane.decision_workers},
                        {"reason", lane.decision_reason},
                        {"message", lane.decision_message},
                        {"time", lane.decision_time},
                        {"terms", std::move(terms)}};
  return object;
}

// The printer columns of `kubectl get workerpools`: totals, and per lane its backlog and the
// workers that carry it.
json SummaryOf(const PoolStatus& status) {
  std::string lanes;
  std::int64_t waiting = 0, running = 0, workers = 0, ready = 0, dead_letters = 0;
  for (const LaneStatus& lane : status.lanes) {
    const std::int64_t backlog = lane.waiting + lane.running + lane.parked;
    if (!lanes.empty()) lanes += ' ';
    lanes += lane.name + " " + std::to_string(backlog) + "/" + std::to_string(lane.workers_ready);
    waiting += lane.waiting;
    running += lane.running;
    workers += lane.workers_desired;
    ready += lane.workers_ready;
    dead_letters += lane.dead_letters;
  }
  return {{"lanes", std::move(lanes)}, {"waiting", waiting}, {"running", running},
          {"workers", workers},        {"ready", ready},     {"deadLetters", dead_letters}};
}

int IntAt(const json& object, JsonPath path) { return static_cast<int>(IntegerAt(object, path)); }

LaneStatus LaneFromJson(const json& object) {
  LaneStatus lane;
  lane.name = TextAt(object, {"name"});
  if (const json* paused = At(object, {"paused"}); paused != nullptr) {
    lane.paused = paused->is_boolean() && paused->get<bool>();
  }
  lane.waiting = IntegerAt(object, {"waiting"});
  lane.running = IntegerAt(object, {"running"});
  lane.parked = IntegerAt(object, {"parked"});
  lane.oldest_wait_seconds = IntegerAt(object, {"oldestWaitSeconds"});
  lane.dead_letters = IntegerAt(object, {"deadLetters"});
  lane.workers_desired = IntAt(object, {"workers", "desired"});
  lane.workers_ready = IntAt(object, {"workers", "ready"});
  lane.workers_busy = IntAt(object, {"workers", "busy"});
  lane.workers_idle = IntAt(object, {"workers", "idle"});
  lane.workers_draining = IntAt(object, {"workers", "draining"});
  lane.workers_unschedulable = IntAt(object, {"workers", "unschedulable"});
  if (const json* wait = At(object, {"predictedWaitSeconds"}); wait != nullptr) {
    lane.predicted_wait_seconds = wait->is_number_integer() ? wait->get<std::int64_t>() : -1;
  }
  lane.release = TextAt(object, {"release"});
  lane.decision_workers = IntAt(object, {"decision", "workers"});
  lane.decision_reason = TextAt(object, {"decision", "reason"});
  lane.decision_message = TextAt(object, {"decision", "message"});
  lane.decision_time = TextAt(object, {"decision", "time"});
  for (const json& term : ListAt(object, {"decision", "terms"})) {
    lane.decision_terms.push_back(
        {TextAt(term, {"term"}), IntAt(term, {"workers"}), TextAt(term, {"note"})});
  }
  return lane;
}

}  // namespace

std::string StatusToJson(const PoolStatus& status) {
  json conditions = json::array();
  for (const Condition& condition : status.conditions) {
    conditions.push_back(ToJson(condition, status.observed_generation));
  }
  json lanes = json::array();
  for (const LaneStatus& lane : status.lanes) lanes.push_back(ToJson(lane));
  return DumpJson({{"observedGeneration", status.observed_generation},
                   {"conditions", std::move(conditions)},
                   {"summary", SummaryOf(status)},
                   {"lanes", std::move(lanes)}});
}

PoolStatus StatusFromJson(std::string_view text) {
  const json object = ParseJson(text);
  PoolStatus status;
  status.observed_generation = IntegerAt(object, {"observedGeneration"});
  for (const json& condition : ListAt(object, {"conditions"})) {
    status.conditions.push_back({.type = TextAt(condition, {"type"}),
                                 .status = TextAt(condition, {"status"}) == "True",
                                 .reason = TextAt(condition, {"reason"}),
                                 .message = TextAt(condition, {"message"}),
                                 .last_transition = TextAt(condition, {"lastTransitionTime"})});
  }
  for (const json& lane : ListAt(object, {"lanes"})) status.lanes.push_back(LaneFromJson(lane));
  return status;
}

}  // namespace lanekeeper::kubernetes
