// Joins the ports: changes from the pool source, the probe and the platform put a pool's key into
// the work queue; one thread takes keys and reconciles them.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <random>
#include <thread>

#include "operator/control/pool_store.h"
#include "operator/control/ports.h"
#include "operator/control/reconciler.h"
#include "operator/control/work_queue.h"

namespace lanekeeper {

class ControlLoop {
 public:
  // All must outlive the loop.
  ControlLoop(PoolSource& source, LaneProbe& probe, Queues& queues, Platform& platform,
              const Clock& clock, ReconcileObserver* observer, Ledger* ledger = nullptr,
              PoolBoard* board = nullptr);
  ~ControlLoop();  // Stops.
  ControlLoop(const ControlLoop&) = delete;
  ControlLoop& operator=(const ControlLoop&) = delete;

  void Start();
  // Ends source, probe and reconcile thread; waits for the pass that is under way. Idempotent.
  void Stop();

  // Something about this pool changed outside (a workload). Any thread.
  void Poke(const PoolKey& key) { queue_.Add(key); }

  // Every pool that exists has been reported once. Any thread.
  bool synced() const { return synced_; }
  // When the reconcile thread last went around its loop; it does at least every second unless a
  // call to a port hangs. Any thread.
  MonotonicTime last_beat() const { return MonotonicTime(MonotonicTime::duration(beat_.load())); }

 private:
  void Run();
  void Work(const PoolKey& key);

  PoolSource& source_;
  LaneProbe& probe_;
  const Clock& clock_;
  PoolBoard* board_;
  PoolStore store_;
  WorkQueue queue_;
  Reconciler reconciler_;
  std::map<PoolKey, int> failures_;  // In a row. Reconcile thread only.
  std::minstd_rand random_;          // Jitter only.
  std::atomic<bool> synced_{false};
  std::atomic<MonotonicTime::rep> beat_{0};
  bool started_ = false;
  std::thread thread_;
};

}  // namespace lanekeeper
