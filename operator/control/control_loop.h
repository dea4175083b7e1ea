// Joins the ports: changes from the pool source, the probe and the platform put a pool's key into
// the work queue; one thread takes keys and reconciles them.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <thread>

#include "operator/control/leader_ports.h"
#include "operator/control/leadership.h"
#include "operator/control/pool_store.h"
#include "operator/control/ports.h"
#include "operator/control/reconciler.h"
#include "operator/control/work_queue.h"

namespace lanekeeper {

// For operators that stand by for one another. A standby listens, so that it is ready when it
// leads, and does nothing else: no pass, no write, no word to a worker.
struct Standby {
  TakenLead* lead = nullptr;  // Outlives the loop. Taken up and laid down by the reconcile thread.
  // Called when a lead is offered: what the caches say may be as old as they are, so they are to be
  // filled anew. The lead is taken up once `fresh` says that they are. Never wait.
  std::function<void()> refresh;
  std::function<bool()> fresh;
};

class ControlLoop {
 public:
  // All must outlive the loop. Without a Standby it always acts.
  ControlLoop(PoolSource& source, LaneProbe& probe, Queues& queues, Platform& platform,
              const Clock& clock, ReconcileObserver* observer, Ledger* ledger = nullptr,
              PoolBoard* board = nullptr, std::optional<Standby> standby = std::nullopt);
  ~ControlLoop();  // Stops.
  ControlLoop(const ControlLoop&) = delete;
  ControlLoop& operator=(const ControlLoop&) = delete;

  void Start();
  // Begins no other pass; waits for the one that is under way. Idempotent.
  void StopActing();
  // That, and ends source and probe. Idempotent.
  void Stop();

  // Something about this pool changed outside (a workload). Any thread.
  void Poke(const PoolKey& key) { queue_.Add(key); }
  // A lead was offered or is over. Any thread.
  void OnLeadChange() { queue_.Wake(); }

  // Every pool that exists has been reported once. Any thread.
  bool synced() const { return synced_; }
  // When the reconcile thread last went around its loop; it does at least every second unless a
  // call to a port hangs. Any thread.
  MonotonicTime last_beat() const { return MonotonicTime(MonotonicTime::duration(beat_.load())); }

 private:
  enum class Role { kStandsBy, kGetsReady, kLeads };
  void Run();
  void ListenToAll();
  void FollowLead();
  void BeginToLead();
  void Work(const PoolKey& key);

  PoolSource& source_;
  const std::optional<Standby> standby_;
  LeaderProbe probe_;
  LeaderQueues queues_;
  LeaderLedger ledger_;
  const Clock& clock_;
  PoolBoard* board_;
  PoolStore store_;
  WorkQueue queue_;
  Reconciler reconciler_;
  // Reconcile thread only.
  Role role_ = Role::kLeads;
  std::int64_t epoch_ = 0;           // Of the lead that was offered last.
  std::map<PoolKey, int> failures_;  // In a row.
  bool listens_to_all_ = false;
  std::minstd_rand random_;  // Jitter only.
  std::atomic<bool> synced_{false};
  std::atomic<MonotonicTime::rep> beat_{0};
  bool started_ = false;
  std::thread thread_;
};

}  // namespace lanekeeper
