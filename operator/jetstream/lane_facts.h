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
// The same after a report: jobs that its worker had before have ended.
void ApplyReport(const RosterTotals& totals, LaneSample* sample);

// Whole seconds since `stored_at`, never negative (clocks differ).
std::int64_t WaitSeconds(WallTime stored_at, WallTime now);

// Nothing waits, nothing runs and nothing is in doubt.
bool AtRest(const LaneSample& sample);

}  // namespace lanekeeper
