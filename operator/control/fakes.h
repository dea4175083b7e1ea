// Stand-ins for the ports, with plain recorded state: for tests of the reconciler, and of anything
// else that is built on the ports. Not thread-safe unless said.
#pragma once

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "operator/control/ports.h"

namespace lanekeeper {

class FakePlatform final : public Platform {
 public:
  struct Workload {
    WorkloadState state;
    int applied = 0;  // Times.
  };

  Result<WorkloadState> Observe(const LaneKey& key) override {
    if (failure) return tl::unexpected<Error>(*failure);
    if (observe_failures > 0) {
      --observe_failures;
      return Fail(ErrorKind::kRetryable, "cache is not filled yet");
    }
    const auto found = workloads.find(key);
    if (found == workloads.end()) return Fail(ErrorKind::kNotFound, "no workload " + ToString(key));
    return found->second.state;
  }
  Result<WorkloadState> Apply(const WorkerPool& pool, const Lane& lane, int replicas) override {
    if (failure) return tl::unexpected<Error>(*failure);
    Workload& workload = workloads[pool.KeyOf(lane)];
    const WorkloadState before = workload.state;
    workload.state.lane_hash = LaneHash(lane);
    workload.state.replicas = replicas;
    if (workload.applied++ == 0 || before != workload.state) ++workload.state.generation;
    writes.push_back("apply " + lane.name + " " + std::to_string(replicas));
    return workload.state;
  }
  Result<WorkloadState> SetReplicas(const LaneKey& key, int replicas) override {
    if (failure) return tl::unexpected<Error>(*failure);
    const auto found = workloads.find(key);
    if (found == workloads.end()) return Fail(ErrorKind::kNotFound, "no workload " + ToString(key));
    if (found->second.state.replicas != replicas) ++found->second.state.generation;
    found->second.state.replicas = replicas;
    writes.push_back("scale " + key.lane + " " + std::to_string(replicas));
    return found->second.state;
  }
  Result<std::vector<LaneKey>> List(const PoolKey& key) override {
    if (failure) return tl::unexpected<Error>(*failure);
    std::vector<LaneKey> keys;
    for (const auto& [lane, workload] : workloads) {
      if (lane.pool_namespace == key.pool_namespace && lane.pool == key.name) keys.push_back(lane);
    }
    return keys;
  }
  Result<void> Remove(const LaneKey& key) override {
    if (failure) return tl::unexpected<Error>(*failure);
    if (workloads.count(key) == 0) return {};
    writes.push_back("remove " + key.lane);
    if (!workers_end_slowly) workloads.erase(key);
    return {};
  }
  Result<void> WriteStatus(const WorkerPool& pool, const PoolStatus& status) override {
    if (failure) return tl::unexpected<Error>(*failure);
    statuses[pool.key] = status;
    ++status_writes;
    return {};
  }
  Result<PoolStatus> ReadStatus(const PoolKey& key) override {
    if (failure) return tl::unexpected<Error>(*failure);
    return statuses[key];
  }
  Result<void> AddFinalizer(const WorkerPool& pool) override {
    if (failure) return tl::unexpected<Error>(*failure);
    finalizers.insert(pool.key);
    writes.push_back("add finalizer");
    return {};
  }
  Result<void> RemoveFinalizer(const WorkerPool& pool) override {
    if (failure) return tl::unexpected<Error>(*failure);
    finalizers.erase(pool.key);
    writes.push_back("remove finalizer");
    return {};
  }
  void Publish(const WorkerPool&, const PoolEvent& event) override { events.push_back(event); }

  std::optional<Error> failure;     // What every call but Publish answers, while set.
  int observe_failures = 0;         // So many calls of Observe fail first.
  bool workers_end_slowly = false;  // Remove asks; the test erases.
  std::map<LaneKey, Workload> workloads;
  std::map<PoolKey, PoolStatus> statuses;
  std::set<PoolKey> finalizers;
  std::vector<std::string> writes;  // All but status, in order.
  int status_writes = 0;
  std::vector<PoolEvent> events;
};

// Any thread.
class FakeLaneProbe final : public LaneProbe {
 public:
  void Start(std::function<void(const LaneKey&)> on_change) override {
    const std::lock_guard lock(mutex_);
    on_change_ = std::move(on_change);
  }
  void Stop() override {
    const std::lock_guard lock(mutex_);
    on_change_ = nullptr;
  }
  void Probe(const ProbedLane& lane) override {
    const std::lock_guard lock(mutex_);
    probed_.insert(lane.key);
  }
  void Forget(const LaneKey& key) override {
    const std::lock_guard lock(mutex_);
    probed_.erase(key);
    samples_.erase(key);
  }
  LaneSample Latest(const LaneKey& key) const override {
    const std::lock_guard lock(mutex_);
    const auto found = samples_.find(key);
    return found == samples_.end() ? LaneSample{} : found->second;
  }

  // What the queue says from now on; tells the listener.
  void Set(const LaneKey& key, const LaneSample& sample) {
    std::function<void(const LaneKey&)> on_change;
    {
      const std::lock_guard lock(mutex_);
      samples_[key] = sample;
      on_change = on_change_;
    }
    if (on_change) on_change(key);
  }
  std::set<LaneKey> probed() const {
    const std::lock_guard lock(mutex_);
    return probed_;
  }

 private:
  mutable std::mutex mutex_;
  std::function<void(const LaneKey&)> on_change_;
  std::set<LaneKey> probed_;
  std::map<LaneKey, LaneSample> samples_;
};

class FakeQueues final : public Queues {
 public:
  Result<void> Ensure(const WorkerPool&, const Lane& lane) override {
    ++ensured[lane.name];
    if (failure) return tl::unexpected<Error>(*failure);
    return {};
  }
  Result<void> RemoveLane(const LaneKey& key) override {
    if (failure) return tl::unexpected<Error>(*failure);
    removed.push_back(key.lane);
    return {};
  }
  Result<void> RemoveDeadLetters(const PoolKey& key) override {
    if (failure) return tl::unexpected<Error>(*failure);
    removed.push_back("dead letters of " + key.name);
    return {};
  }

  std::optional<Error> failure;
  std::map<std::string, int> ensured;  // Calls by lane.
  std::vector<std::string> removed;
};

// The test calls the callbacks itself.
class FakePoolSource final : public PoolSource {
 public:
  void Start(Callbacks given) override { callbacks = std::move(given); }
  void Stop() override { callbacks = {}; }
  Callbacks callbacks;
};

}  // namespace lanekeeper
