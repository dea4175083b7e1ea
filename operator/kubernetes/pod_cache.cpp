#include "operator/kubernetes/pod_cache.h"

#include <algorithm>
#include <utility>

#include "operator/kubernetes/object_json.h"
#include "operator/kubernetes/own_write.h"
#include "worker-runtime/base/time.h"
#include "worker-runtime/job/rfc3339.h"

namespace lanekeeper::kubernetes {
namespace {

using nlohmann::json;
using Phase = PlacedWorker::Phase;

// nullptr: the pod has no such condition.
const json* ConditionOf(const json& pod, std::string_view type) {
  for (const json& condition : ListAt(pod, {"status", "conditions"})) {
    if (TextAt(condition, {"type"}) == type) return &condition;
  }
  return nullptr;
}

std::optional<WallTime> TimeAt(const json& object, JsonPath path) {
  return ParseRfc3339(TextAt(object, path));
}

// When the first of the pod's containers began to run, for all that can be seen.
std::optional<WallTime> FirstContainerStart(const json& pod) {
  std::optional<WallTime> first;
  for (const json& container : ListAt(pod, {"status", "containerStatuses"})) {
    for (const auto& start : {TimeAt(container, {"state", "running", "startedAt"}),
                              TimeAt(container, {"state", "terminated", "startedAt"}),
                              TimeAt(container, {"lastState", "terminated", "startedAt"})}) {
      if (start && (!first || *start < *first)) first = start;
    }
  }
  return first;
}

// A pod says that it is not ready before its containers start; later than that, it was ready.
bool WasReadyBefore(const json& pod, const json& ready) {
  const std::optional<WallTime> changed = TimeAt(ready, {"lastTransitionTime"});
  const std::optional<WallTime> started = FirstContainerStart(pod);
  return changed && started && *changed > *started;
}

// Cut between characters.
std::string Cut(std::string text, std::size_t max) {
  if (text.size() <= max) return text;
  while (max > 0 && (static_cast<unsigned char>(text[max]) & 0xC0) == 0x80) --max;
  text.resize(max);
  return text;
}

void ReadScheduling(const json& pod, PodFacts& facts) {
  const json* scheduled = ConditionOf(pod, "PodScheduled");
  if (scheduled == nullptr || TextAt(*scheduled, {"status"}) != "False") return;
  const std::string reason = TextAt(*scheduled, {"reason"});
  // A gate is somebody's queue for room; the scheduler does not even look.
  facts.no_room = reason == "Unschedulable" || reason == "SchedulingGated";
  if (facts.no_room) facts.why = Cut(TextAt(*scheduled, {"message"}), kWhyMax);
}

void ReadReadiness(const json& pod, PodFacts& facts) {
  const json* ready = ConditionOf(pod, "Ready");
  if (ready == nullptr) return;
  facts.ready = TextAt(*ready, {"status"}) == "True";
  if (!facts.ready) {
    facts.ready_before = WasReadyBefore(pod, *ready);
    return;
  }
  const std::optional<WallTime> created = TimeAt(pod, {"metadata", "creationTimestamp"});
  const std::optional<WallTime> since = TimeAt(*ready, {"lastTransitionTime"});
  if (!created || !since) return;
  facts.created_to_ready =
      std::max(std::chrono::duration_cast<std::chrono::milliseconds>(*since - *created),
               std::chrono::milliseconds(0));
}

}  // namespace

PodFacts ReadPod(const json& object) {
  PodFacts facts;
  facts.uid = TextAt(object, {"metadata", "uid"});
  facts.resource_version = VersionNumber(ResourceVersionOf(object));
  facts.marks = ReadMarks(object);
  facts.ending = !TextAt(object, {"metadata", "deletionTimestamp"}).empty();
  const std::string phase = TextAt(object, {"status", "phase"});
  facts.over = phase == "Succeeded" || phase == "Failed";
  facts.untouched = ListAt(object, {"status", "conditions"}).empty();
  ReadScheduling(object, facts);
  ReadReadiness(object, facts);
  return facts;
}

bool PodCache::IsOlder(std::uint64_t resource_version, const Entry& than, MonotonicTime now) {
  return OwnWriteOutranks(than.written_at, than.facts.resource_version, resource_version, now);
}

void PodCache::Learn(Entry& entry, PodFacts facts, bool is_new, MonotonicTime now) {
  if (is_new && facts.untouched) entry.created_at = now;
  if (facts.ready && !entry.was_ready && !is_new) {
    // One that was ready when we saw it first may have become so for the tenth time.
    entry.cold_start =
        entry.created_at
            ? std::chrono::duration_cast<std::chrono::milliseconds>(now - *entry.created_at)
            : facts.created_to_ready;
  }
  entry.was_ready = entry.was_ready || facts.ready || facts.ready_before;
  const Phase phase = facts.ready       ? Phase::kReady
                      : entry.was_ready ? Phase::kNotReady
                      : facts.no_room   ? Phase::kNoRoom
                                        : Phase::kStarting;
  if (is_new || phase != entry.phase) entry.since = now;
  entry.phase = phase;
  entry.facts = std::move(facts);
  // What was written is now what is watched.
  entry.written_at.reset();
}

void PodCache::AddTo(Crew& crew, const std::string& name, const Entry& entry) {
  const PodFacts& facts = entry.facts;
  if (facts.ending) {
    crew.ending.push_back({name, facts.marks.marks});
  } else if (!facts.over) {
    crew.placed.push_back({.name = name,
                           .phase = entry.phase,
                           .why = entry.phase == Phase::kNoRoom ? facts.why : std::string(),
                           .marks = facts.marks.marks,
                           .since = entry.since,
                           .cold_start = entry.cold_start});
  }
}

Crew PodCache::Alone(const std::string& name, const Entry& entry) {
  Crew crew;
  AddTo(crew, name, entry);
  return crew;
}

PodCache::Entry* PodCache::Find(const ObjectName& name) {
  const auto lane = lane_of_.find(name);
  return lane == lane_of_.end() ? nullptr : &lanes_.at(lane->second).at(name.name);
}

std::vector<LaneKey> PodCache::Erase(const ObjectName& name) {
  const auto lane = lane_of_.find(name);
  if (lane == lane_of_.end()) return {};
  const LaneKey key = lane->second;
  const auto pods = lanes_.find(key);
  const auto entry = pods->second.find(name.name);
  const bool counted = Alone(name.name, entry->second) != Crew{};
  pods->second.erase(entry);
  if (pods->second.empty()) lanes_.erase(pods);
  lane_of_.erase(lane);
  return counted ? std::vector{key} : std::vector<LaneKey>{};
}

std::vector<LaneKey> PodCache::OnWatched(const json& object, MonotonicTime now) {
  const ObjectName name = NameOf(object);
  const LaneKey key = LaneOf(object);
  PodFacts facts = ReadPod(object);
  const Entry* known = Find(name);
  if (known != nullptr && IsOlder(facts.resource_version, *known, now)) return {};
  std::vector<LaneKey> changed;
  // A younger pod of the same name, or one that somebody took out of its lane.
  if (known != nullptr && (known->facts.uid != facts.uid || lane_of_.at(name) != key)) {
    changed = Erase(name);
    known = nullptr;
  }
  const bool is_new = known == nullptr;
  lane_of_[name] = key;
  Entry& entry = lanes_[key][name.name];
  const Crew before = is_new ? Crew{} : Alone(name.name, entry);
  Learn(entry, std::move(facts), is_new, now);
  if (Alone(name.name, entry) != before) changed.push_back(key);
  return changed;
}

std::vector<LaneKey> PodCache::OnGone(const ObjectName& name, const std::string& resource_version,
                                      MonotonicTime now) {
  const Entry* entry = Find(name);
  if (entry == nullptr || IsOlder(VersionNumber(resource_version), *entry, now)) return {};
  return Erase(name);
}

void PodCache::OnListed(const std::set<ObjectName>& names, const std::string& resource_version,
                        MonotonicTime now) {
  std::vector<ObjectName> lost;
  for (const auto& [name, key] : lane_of_) {
    if (names.count(name) == 0) lost.push_back(name);
  }
  for (const ObjectName& name : lost) OnGone(name, resource_version, now);
}

void PodCache::OnMarked(const json& object, MonotonicTime now) {
  Entry* entry = Find(NameOf(object));
  if (entry == nullptr) return;
  const PodFacts written = ReadPod(object);
  // The watch may have been faster than the answer, and a write may have changed nothing.
  if (written.uid != entry->facts.uid ||
      written.resource_version <= entry->facts.resource_version) {
    return;
  }
  entry->facts.marks = written.marks;
  entry->facts.resource_version = written.resource_version;
  entry->written_at = now;
}

Crew PodCache::CrewOf(const LaneKey& key) const {
  Crew crew;
  const auto pods = lanes_.find(key);
  if (pods == lanes_.end()) return crew;
  for (const auto& [name, entry] : pods->second) AddTo(crew, name, entry);
  return crew;
}

const PodFacts* PodCache::FindPlaced(const LaneKey& key, const std::string& name) const {
  const auto pods = lanes_.find(key);
  if (pods == lanes_.end()) return nullptr;
  const auto entry = pods->second.find(name);
  if (entry == pods->second.end()) return nullptr;
  const PodFacts& facts = entry->second.facts;
  return facts.ending || facts.over ? nullptr : &facts;
}

}  // namespace lanekeeper::kubernetes
