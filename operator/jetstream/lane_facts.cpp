#include "operator/jetstream/lane_facts.h"

#include <algorithm>

namespace lanekeeper {

using scaling::Doubt;

constexpr std::chrono::milliseconds kReportLag{250};

void ApplyConsumer(const nats::ConsumerState& state, MonotonicTime now, LaneSample* sample) {
  const auto count = [](std::int64_t number) { return std::max<std::int64_t>(0, number); };
  sample->doubt = Doubt::kNone;
  sample->doubt_detail.clear();
  sample->waiting = count(state.pending);
  sample->ack_pending = count(state.ack_pending);
  sample->open_pulls = count(state.waiting_pulls);
  sample->ack_pending_max = count(state.ack_pending_max);
  sample->paused = state.paused;
  if (sample->waiting == 0) sample->oldest_wait_seconds = 0;
  sample->taken_at = now;
}

bool ApplyError(const nats::ApiError& error, LaneSample* sample) {
  switch (error.cause) {
    case nats::ApiCause::kStreamMissing:
    case nats::ApiCause::kConsumerMissing:
      sample->doubt = Doubt::kConsumerMissing;
      break;
    case nats::ApiCause::kJetStreamOff:
      sample->doubt = Doubt::kJetStreamOff;
      break;
    case nats::ApiCause::kDenied:
      sample->doubt = Doubt::kRefused;
      break;
    case nats::ApiCause::kUnreadable:
      sample->doubt = Doubt::kUnreadable;
      break;
    case nats::ApiCause::kNoAnswer:
    case nats::ApiCause::kMessageMissing:
    case nats::ApiCause::kQueueFull:
    case nats::ApiCause::kNoRoom:
    case nats::ApiCause::kWrongRevision:
    case nats::ApiCause::kBusy:
    case nats::ApiCause::kRefused:
      return false;
  }
  sample->doubt_detail = error.error.message;
  return true;
}

std::int64_t ArrivalsBetween(const nats::ConsumerState& before, const nats::ConsumerState& after) {
  const auto grown = [](std::uint64_t from, std::uint64_t to) {
    return static_cast<std::int64_t>(to - from);
  };
  const std::int64_t delivered =
      std::min(grown(before.delivered_stream_sequence, after.delivered_stream_sequence),
               grown(before.delivered_consumer_sequence, after.delivered_consumer_sequence));
  return std::max<std::int64_t>(0, delivered + after.pending - before.pending);
}

void ApplyRoster(const RosterTotals& totals, LaneSample* sample) {
  sample->workers_reporting = totals.reporting;
  sample->workers_busy = totals.busy;
  sample->workers_draining = totals.draining;
  sample->jobs_running = totals.jobs_running;
  sample->workers_version = totals.version;
}

void PassingJobs::OnAnswer(std::int64_t ack_pending, std::int64_t jobs_running, MonotonicTime now) {
  std::int64_t stayed = std::max<std::int64_t>(0, ack_pending_ - jobs_running - ended_);
  // So soon after the last answer, reports about it may still be on their way.
  if (now - answered_at_ < kReportLag) stayed = std::min(stayed, parked_);
  const std::int64_t unaccounted = std::max<std::int64_t>(0, ack_pending - jobs_running);
  parked_ = std::min(stayed, unaccounted);
  fresh_ = unaccounted - parked_;
  ended_ = 0;
  ack_pending_ = ack_pending;
  answered_at_ = now;
}

void PassingJobs::OnReport(std::int64_t running_before, std::int64_t running_now) {
  if (running_now < running_before) {
    ended_ += running_before - running_now;
  } else {
    fresh_ -= std::min(fresh_, running_now - running_before);
  }
}

std::int64_t WaitSeconds(WallTime stored_at, WallTime now) {
  return std::max<std::int64_t>(
      0, std::chrono::duration_cast<std::chrono::seconds>(now - stored_at).count());
}

bool AtRest(const LaneSample& sample) {
  return sample.doubt == Doubt::kNone && sample.waiting == 0 && sample.ack_pending == 0;
}

}  // namespace lanekeeper
