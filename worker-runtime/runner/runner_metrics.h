// What a worker counts, under the names of README.md.
#pragma once

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <chrono>
#include <string_view>

#include "worker-runtime/job/names.h"
#include "worker-runtime/job/outcome.h"

namespace lanekeeper::runner {

// Any thread. `registry` outlives this.
class RunnerMetrics {
 public:
  RunnerMetrics(prometheus::Registry& registry, const LaneKey& lane);

  void HandlerReturned(const Outcome& outcome, std::chrono::nanoseconds after);
  // Of a job that was cancelled meanwhile: whatever it returned.
  void HandlerReturnedCancelled(std::chrono::nanoseconds after);
  void DeadLetter(std::string_view reason);
  void NotSettled();  // Could not tell the queue what became of a job.
  void Kept();        // Could not store a dead letter or a moved job elsewhere; it is kept.
  void Moved();       // To another lane.
  void Cancelled();   // Somebody did not want a job any more while this worker had it.
  void LeaseLost();   // Another worker claimed the job while this one had it.
  void FetchFailed();
  void SetRunning(int running);
  void SetSlots(int slots);
  void SetStuck(int stuck);

 private:
  prometheus::Family<prometheus::Counter>& jobs_;
  prometheus::Counter& done_;
  prometheus::Counter& failed_;
  prometheus::Counter& rejected_;
  prometheus::Counter& interrupted_;
  prometheus::Counter& crashed_;
  prometheus::Counter& stopped_cancelled_;
  prometheus::Family<prometheus::Counter>& dead_letters_;
  prometheus::Counter& not_settled_;
  prometheus::Counter& kept_;
  prometheus::Counter& moved_;
  prometheus::Counter& cancelled_;
  prometheus::Counter& leases_lost_;
  prometheus::Counter& fetch_failed_;
  prometheus::Gauge& running_;
  prometheus::Gauge& slots_;
  prometheus::Gauge& stuck_;
  prometheus::Histogram& seconds_;
};

}  // namespace lanekeeper::runner
