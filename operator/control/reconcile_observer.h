// What the reconciler tells those who count: metrics now, the ledger later. Reconcile thread only.
#pragma once

#include <chrono>

#include "operator/control/pool_status.h"
#include "operator/control/worker_pool.h"
#include "operator/scaling/decide_workers.h"
#include "worker-runtime/base/result.h"

namespace lanekeeper {

class ReconcileObserver {
 public:
  virtual ~ReconcileObserver() = default;
  virtual void OnLane(const LaneKey&, const LaneStatus&, scaling::Doubt) {}
  virtual void OnScaled(const LaneKey&, int /*workers_from*/, const scaling::ScalingDecision&) {}
  virtual void OnReleased(const LaneKey&, int /*workers*/) {}
  virtual void OnInterrupted(const LaneKey&, int /*jobs*/) {}
  virtual void OnForget(const LaneKey&) {}
  virtual void OnPass(std::chrono::nanoseconds /*took*/) {}
  virtual void OnError(const Error&) {}
};

}  // namespace lanekeeper
