// Stand-ins for the ports, with plain recorded state: for tests of the reconciler, and of anything
// else that is built on the ports. Not thread-safe unless said.
#pragma once

#include <algorithm>
#include <cstdio>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "operator/control/pool_board.h"
#include "operator/control/ports.h"
#include "operator/control/secret_source.h"

namespace lanekeeper {

// Acts as Kubernetes does: workers come when there are to be more and, when there are to be fewer,
// those go first that are not ready, and among them those that are marked.
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
    found->second.state.placed = static_cast<int>(crews[key].placed.size());
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
    if (acts) Act(pool.KeyOf(lane));
    return workload.state;
  }
  Result<WorkloadState> SetReplicas(const LaneKey& key, int replicas) override {
    if (failure) return tl::unexpected<Error>(*failure);
    const auto found = workloads.find(key);
    if (found == workloads.end()) return Fail(ErrorKind::kNotFound, "no workload " + ToString(key));
    if (found->second.state.replicas != replicas) ++found->second.state.generation;
    found->second.state.replicas = replicas;
    writes.push_back("scale " + key.lane + " " + std::to_string(replicas));
    if (acts) Act(key);
    return found->second.state;
  }
  Result<Crew> Workers(const LaneKey& key) override {
    if (failure) return tl::unexpected<Error>(*failure);
    return crews[key];
  }
  Result<void> Mark(const LaneKey& key, const std::string& worker,
                    const WorkerMarks& marks) override {
    if (failure) return tl::unexpected<Error>(*failure);
    if (mark_failure) return tl::unexpected<Error>(*mark_failure);
    PlacedWorker* placed = Find(key, worker);
    if (placed == nullptr) return Fail(ErrorKind::kNotFound, "no worker " + worker);
    placed->marks = marks;
    writes.push_back("mark " + worker + (marks.first_to_go ? " first" : "") +
                     (marks.shielded ? " shielded" : ""));
    return {};
  }

  // What the platform does by and by; at once while `acts`.
  void Act(const LaneKey& key) {
    std::vector<PlacedWorker>& placed = crews[key].placed;
    const auto wanted = static_cast<std::size_t>(workloads.at(key).state.replicas);
    while (placed.size() < wanted) {
      char name[64];
      std::snprintf(name, sizeof name, "%s-%04d", key.lane.c_str(), ++made_[key]);
      placed.push_back({.name = name, .phase = new_workers_are});
    }
    while (placed.size() > wanted) {
      const auto rank = [](const PlacedWorker& worker) {
        using Phase = PlacedWorker::Phase;
        const int ready = worker.phase == Phase::kReady      ? 3
                          : worker.phase == Phase::kNotReady ? 2
                          : worker.phase == Phase::kStarting ? 1
                                                             : 0;
        return std::pair(ready, !worker.marks.first_to_go);
      };
      const auto victim = std::min_element(
          placed.begin(), placed.end(),
          [&](const PlacedWorker& a, const PlacedWorker& b) { return rank(a) < rank(b); });
      crews[key].ending.push_back({victim->name, victim->marks});
      placed.erase(victim);
    }
  }
  PlacedWorker* Find(const LaneKey& key, const std::string& worker) {
    for (PlacedWorker& placed : crews[key].placed) {
      if (placed.name == worker) return &placed;
    }
    return nullptr;
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
  std::map<LaneKey, Crew> crews;
  bool acts = true;  // On a changed number at once; else when Act is called.
  PlacedWorker::Phase new_workers_are = PlacedWorker::Phase::kReady;
  std::optional<Error> mark_failure;
  std::map<PoolKey, PoolStatus> statuses;
  std::set<PoolKey> finalizers;
  std::vector<std::string> writes;  // All but status, in order.
  int status_writes = 0;
  std::vector<PoolEvent> events;

 private:
  std::map<LaneKey, int> made_;
};

// Any thread.
class FakeLaneProbe final : public LaneProbe {
 public:
  // With a platform, its workers report: those that are ready run, and do as they are told.
  explicit FakeLaneProbe(FakePlatform* platform = nullptr) : platform_(platform) {}

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

  std::vector<ReportedWorker> Workers(const LaneKey& key) const override {
    const std::lock_guard lock(mutex_);
    std::vector<ReportedWorker> reported;
    if (platform_ == nullptr) return reported;
    const Crew& crew = platform_->crews[key];
    const auto report = [&](const std::string& name) {
      if (silent_.contains(name)) return;
      const auto said = said_.find(name);
      reported.push_back(said == said_.end() ? ReportedWorker{} : said->second);
      reported.back().name = name;
    };
    for (const PlacedWorker& worker : crew.placed) {
      using Phase = PlacedWorker::Phase;
      const bool up = worker.phase == Phase::kReady || worker.phase == Phase::kNotReady;
      if (up || said_.contains(worker.name)) report(worker.name);
    }
    for (const EndingWorker& worker : crew.ending) report(worker.name);
    std::sort(reported.begin(), reported.end(),
              [](const auto& a, const auto& b) { return a.name < b.name; });
    return reported;
  }
  ServiceCounts Served(const LaneKey&) const override { return {}; }
  void Tell(const LaneKey& key, const std::string& worker, std::string_view request) override {
    const std::lock_guard lock(mutex_);
    told_.push_back(std::string(request) + " " + worker);
    if (!workers_obey) return;
    ReportedWorker& said = said_[worker];
    if (said.ending) return;  // It drains for good.
    const bool drain = request == kControlDrain;
    said.state = !drain             ? WorkerState::kRunning
                 : said.running > 0 ? WorkerState::kDraining
                                    : WorkerState::kDrained;
    Settle(key, worker);
  }

  // How many jobs a worker runs from now on. The totals in the sample are the test's to set.
  void SetRunning(const LaneKey& key, const std::string& worker, int running,
                  std::chrono::seconds oldest = std::chrono::seconds(60)) {
    const std::lock_guard lock(mutex_);
    ReportedWorker& said = said_[worker];
    said.running = running;
    said.oldest_running = oldest;
    if (running == 0 && said.state == WorkerState::kDraining) said.state = WorkerState::kDrained;
    Settle(key, worker);
  }
  // Somebody else told it to end: it drains, and its process ends after its last job.
  void End(const LaneKey& key, const std::string& worker) {
    const std::lock_guard lock(mutex_);
    ReportedWorker& said = said_[worker];
    said.ending = true;
    said.state = said.running > 0 ? WorkerState::kDraining : WorkerState::kDrained;
    Settle(key, worker);
  }
  // Its process has ended, and the platform has started it anew.
  void StartAnew(const LaneKey& key, const std::string& worker) {
    const std::lock_guard lock(mutex_);
    said_[worker] = ReportedWorker{};
    Settle(key, worker);
  }
  void SetSilent(const std::string& worker) {
    const std::lock_guard lock(mutex_);
    silent_.insert(worker);
  }
  bool workers_obey = true;  // Else a request is lost.
  bool readiness_follows = true;

  // "drain short-0001", in order, since the last call.
  std::vector<std::string> TakeTold() {
    const std::lock_guard lock(mutex_);
    return std::exchange(told_, {});
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
  // A drained worker fails its readiness check.
  void Settle(const LaneKey& key, const std::string& worker) {
    PlacedWorker* placed = platform_ == nullptr ? nullptr : platform_->Find(key, worker);
    using Phase = PlacedWorker::Phase;
    if (placed == nullptr || !readiness_follows || placed->phase == Phase::kStarting) return;
    placed->phase = said_[worker].state == WorkerState::kRunning ? Phase::kReady : Phase::kNotReady;
  }

  FakePlatform* platform_;
  std::map<std::string, ReportedWorker> said_;
  std::set<std::string> silent_;
  std::vector<std::string> told_;
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

// Any thread may tell; read it when nobody does.
class FakePoolBoard final : public PoolBoard {
 public:
  void Tell(const WorkerPool& pool) override {
    const std::lock_guard lock(mutex_);
    briefs[pool.key] = BriefOf(pool);
    ++tells;
  }
  void TellStatus(const PoolKey& key, const PoolStatus& status) override {
    const std::lock_guard lock(mutex_);
    statuses[key] = status;
    ++status_tells;
  }
  void Forget(const PoolKey& key) override {
    const std::lock_guard lock(mutex_);
    briefs.erase(key);
    statuses.erase(key);
    forgotten.insert(key);
  }
  void KeepOnly(const std::vector<PoolKey>& pools) override {
    const std::lock_guard lock(mutex_);
    kept = pools;
  }
  void Spare(const PoolKey& key) override {
    const std::lock_guard lock(mutex_);
    spared.insert(key);
  }
  void StartOver() override {
    const std::lock_guard lock(mutex_);
    ++started_over;
  }

  std::map<PoolKey, PoolBrief> briefs;
  std::map<PoolKey, PoolStatus> statuses;
  std::set<PoolKey> forgotten;
  std::set<PoolKey> spared;
  std::optional<std::vector<PoolKey>> kept;
  int tells = 0;
  int status_tells = 0;
  int started_over = 0;

 private:
  std::mutex mutex_;
};

// By "namespace/name". Any thread.
class FakeSecrets final : public SecretSource {
 public:
  Result<SecretValues> Read(const std::string& secret_namespace, const std::string& name) override {
    const std::lock_guard lock(mutex_);
    ++reads_;
    const auto found = secrets_.find(secret_namespace + "/" + name);
    if (found == secrets_.end()) return Fail(ErrorKind::kNotFound, "secret not found");
    return found->second;
  }
  void Set(const std::string& name, SecretValues values) {
    const std::lock_guard lock(mutex_);
    secrets_[name] = std::move(values);
  }
  int reads() const {
    const std::lock_guard lock(mutex_);
    return reads_;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::string, SecretValues> secrets_;
  int reads_ = 0;
};

// The test calls the callbacks itself.
class FakePoolSource final : public PoolSource {
 public:
  void Start(Callbacks given) override { callbacks = std::move(given); }
  void Stop() override { callbacks = {}; }
  Callbacks callbacks;
};

}  // namespace lanekeeper
