#include "worker-runtime/runner/runner_metrics.h"

#include <string>
#include <variant>

namespace lanekeeper::runner {
namespace {

prometheus::Labels LabelsOf(const LaneKey& lane) {
  return {{"namespace", lane.pool_namespace}, {"pool", lane.pool}, {"lane", lane.lane}};
}

// From no-ops to the six hours of a long lane.
prometheus::Histogram::BucketBoundaries SecondsBuckets() {
  return {0.005, 0.02, 0.1, 0.5, 1, 5, 15, 60, 300, 1800, 7200, 21600};
}

prometheus::Family<prometheus::Counter>& Counters(prometheus::Registry& registry,
                                                  const LaneKey& lane, const char* name,
                                                  const char* help) {
  return prometheus::BuildCounter().Name(name).Help(help).Labels(LabelsOf(lane)).Register(registry);
}

prometheus::Gauge& MakeGauge(prometheus::Registry& registry, const LaneKey& lane, const char* name,
                             const char* help) {
  return prometheus::BuildGauge()
      .Name(name)
      .Help(help)
      .Labels(LabelsOf(lane))
      .Register(registry)
      .Add({});
}

}  // namespace

RunnerMetrics::RunnerMetrics(prometheus::Registry& registry, const LaneKey& lane)
    : jobs_(Counters(registry, lane, "lanekeeper_worker_jobs_total",
                     "Runs of a handler, by what it returned.")),
      done_(jobs_.Add({{"outcome", "done"}})),
      failed_(jobs_.Add({{"outcome", "failed"}})),
      rejected_(jobs_.Add({{"outcome", "rejected"}})),
      interrupted_(jobs_.Add({{"outcome", "interrupted"}})),
      crashed_(jobs_.Add({{"outcome", "crashed"}})),
      stopped_cancelled_(jobs_.Add({{"outcome", "cancelled"}})),
      dead_letters_(Counters(registry, lane, "lanekeeper_worker_dead_letters_total",
                             "Jobs stored among the dead letters, by reason.")),
      not_settled_(Counters(registry, lane, "lanekeeper_worker_not_settled_total",
                            "Jobs whose settlement the queue could not be told.")
                       .Add({})),
      kept_(Counters(registry, lane, "lanekeeper_worker_jobs_kept_total",
                     "Jobs that could not be stored elsewhere and stay in their lane.")
                .Add({})),
      moved_(Counters(registry, lane, "lanekeeper_worker_jobs_moved_total",
                      "Jobs that overran this lane and went to another.")
                 .Add({})),
      cancelled_(Counters(registry, lane, "lanekeeper_worker_jobs_cancelled_total",
                          "Jobs that were cancelled while this worker had them.")
                     .Add({})),
      leases_lost_(Counters(registry, lane, "lanekeeper_worker_leases_lost_total",
                            "Jobs that another worker claimed while this one had them.")
                       .Add({})),
      fetch_failed_(Counters(registry, lane, "lanekeeper_worker_fetch_failures_total",
                             "Fetches that ended in an error.")
                        .Add({})),
      running_(MakeGauge(registry, lane, "lanekeeper_worker_jobs_running", "Slots with a job.")),
      slots_(MakeGauge(registry, lane, "lanekeeper_worker_slots", "Slots of this worker.")),
      stuck_(MakeGauge(registry, lane, "lanekeeper_worker_slots_stuck",
                       "Slots whose handler did not end when told to.")),
      seconds_(prometheus::BuildHistogram()
                   .Name("lanekeeper_worker_job_seconds")
                   .Help("How long handlers ran.")
                   .Labels(LabelsOf(lane))
                   .Register(registry)
                   .Add({}, SecondsBuckets())) {}

void RunnerMetrics::HandlerReturned(const Outcome& outcome, std::chrono::nanoseconds after) {
  seconds_.Observe(std::chrono::duration<double>(after).count());
  if (std::holds_alternative<Done>(outcome)) return done_.Increment();
  if (std::holds_alternative<Failed>(outcome)) return failed_.Increment();
  if (std::holds_alternative<Rejected>(outcome)) return rejected_.Increment();
  if (std::holds_alternative<Crashed>(outcome)) return crashed_.Increment();
  interrupted_.Increment();
}

void RunnerMetrics::HandlerReturnedCancelled(std::chrono::nanoseconds after) {
  seconds_.Observe(std::chrono::duration<double>(after).count());
  stopped_cancelled_.Increment();
}

void RunnerMetrics::DeadLetter(std::string_view reason) {
  dead_letters_.Add({{"reason", std::string(reason)}}).Increment();
}

void RunnerMetrics::NotSettled() { not_settled_.Increment(); }
void RunnerMetrics::Kept() { kept_.Increment(); }
void RunnerMetrics::Moved() { moved_.Increment(); }
void RunnerMetrics::Cancelled() { cancelled_.Increment(); }
void RunnerMetrics::LeaseLost() { leases_lost_.Increment(); }
void RunnerMetrics::FetchFailed() { fetch_failed_.Increment(); }
void RunnerMetrics::SetRunning(int running) { running_.Set(running); }
void RunnerMetrics::SetSlots(int slots) { slots_.Set(slots); }
void RunnerMetrics::SetStuck(int stuck) { stuck_.Set(stuck); }

}  // namespace lanekeeper::runner
