// The pods of all lanes, as the watch tells of them and as our own marks left them, with what can
// only be known by having watched: since when, and whether a pod was ready before. A few hundred
// bytes a pod, whatever its object holds. Pure. Not thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "operator/control/ports.h"
#include "operator/kubernetes/object_names.h"
#include "operator/kubernetes/pod_marks.h"

namespace lanekeeper::kubernetes {

// What one version of a pod says.
struct PodFacts {
  std::string uid;
  std::uint64_t resource_version = 0;
  PodMarks marks;
  bool ending = false;     // It was told to end.
  bool over = false;       // It ran to its end, was evicted or lost: no worker any more.
  bool untouched = false;  // Nobody has looked at it yet: it was created a moment ago.
  bool no_room = false;    // The scheduler found no node for it…
  std::string why;         // …for this reason, at most kWhyMax bytes.
  bool ready = false;
  bool ready_before = false;  // Not ready, and its own times say that it was.
  // By its own times, whose resolution is a second; nothing while it is not ready.
  std::optional<std::chrono::milliseconds> created_to_ready;
  bool operator==(const PodFacts&) const = default;
};

inline constexpr std::size_t kWhyMax = 512;

PodFacts ReadPod(const nlohmann::json& object);

class PodCache {
 public:
  // From the watch. Return the lanes whose Crew is now another.
  std::vector<LaneKey> OnWatched(const nlohmann::json& object, MonotonicTime now);
  std::vector<LaneKey> OnGone(const ObjectName& name, const std::string& resource_version,
                              MonotonicTime now);
  // Drops what is not among `names`.
  void OnListed(const std::set<ObjectName>& names, const std::string& resource_version,
                MonotonicTime now);
  // The answer to a Mark. Takes nothing but the marks from it: all else is news, and the watch's to
  // tell.
  void OnMarked(const nlohmann::json& object, MonotonicTime now);

  Crew CrewOf(const LaneKey& key) const;
  // Of this lane and not ended or ending; nullptr: there is none. Until the next call.
  const PodFacts* FindPlaced(const LaneKey& key, const std::string& name) const;

 private:
  struct Entry {
    PodFacts facts;
    PlacedWorker::Phase phase = PlacedWorker::Phase::kStarting;
    MonotonicTime since{};
    bool was_ready = false;
    std::optional<MonotonicTime> created_at;  // When we saw it being created.
    std::optional<std::chrono::milliseconds> cold_start;
    std::optional<MonotonicTime> written_at;  // By us; the watch has not told of it yet.
  };
  using Pods = std::map<std::string, Entry>;  // By name.

  static bool IsOlder(std::uint64_t resource_version, const Entry& than, MonotonicTime now);
  static void Learn(Entry& entry, PodFacts facts, bool is_new, MonotonicTime now);
  static void AddTo(Crew& crew, const std::string& name, const Entry& entry);
  static Crew Alone(const std::string& name, const Entry& entry);
  Entry* Find(const ObjectName& name);
  // Its lane's Crew is now another, unless it counted for nothing.
  std::vector<LaneKey> Erase(const ObjectName& name);

  std::map<LaneKey, Pods> lanes_;  // None is empty.
  std::map<ObjectName, LaneKey> lane_of_;
};

}  // namespace lanekeeper::kubernetes
