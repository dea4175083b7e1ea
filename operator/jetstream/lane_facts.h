// What an answer of JetStream means for the sample of a lane. Pure.
#pragma once

#include "operator/control/ports.h"
#include "worker-runtime/job/worker_roster.h"
#include "worker-runtime/nats/jetstream_answers.h"

namespace lanekeeper {

// A good answer: its numbers, and no doubt.
void ApplyConsumer(const nats::ConsumerState& state, MonotonicTime now, LaneSample* sample);

// A bad one: the doubt, with what was said; the numbers of the last good answer stay. False, and
// nothing changed, when the answer only says that there is none (a consumer without a leader, an
// overloaded server): that is silence, and becomes kStale when it lasts.
bool ApplyError(const nats::ApiError& error, LaneSample* sample);

// How many jobs came between two looks at a consumer. A first delivery raises the stream's sequence
// by one or, over messages that are gone or another consumer's, by more; and the consumer's own by
// exactly one, as every repetition does. So deliveries are the lesser of the two. Never negative:
// jobs that were deleted unseen, or a queue made anew, are no arrivals.
std::int64_t ArrivalsBetween(const nats::ConsumerState& before, const nats::ConsumerState& after);

void ApplyRoster(const RosterTotals& totals, LaneSample* sample);

// Which of the jobs that no report accounts for only pass by: handed out a moment before the
// queue's answer, and not reported yet; or ended since, by a later report. What is left is parked:
// it was nobody's at the answer before, too.
class PassingJobs {
 public:
  void OnAnswer(std::int64_t ack_pending, std::int64_t jobs_running, MonotonicTime now);
  void OnReport(std::int64_t running_before, std::int64_t running_now);
  std::int64_t count() const { return fresh_ + ended_; }

 private:
  std::int64_t fresh_ = 0;
  std::int64_t ended_ = 0;
  std::int64_t parked_ = 0;       // By the last answer.
  std::int64_t ack_pending_ = 0;  // Of the last answer.
  MonotonicTime answered_at_{};
};

// Whole seconds since `stored_at`, never negative (clocks differ).
std::int64_t WaitSeconds(WallTime stored_at, WallTime now);

// Nothing waits, nothing runs and nothing is in doubt.
bool AtRest(const LaneSample& sample);

}  // namespace lanekeeper
