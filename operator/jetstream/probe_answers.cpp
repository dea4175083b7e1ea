// What the probe thread does with answers: the numbers of a lane, its oldest job, dead letters,
// taps.
#include <algorithm>

#include "operator/jetstream/lane_facts.h"
#include "operator/jetstream/probe_loop.h"
#include "worker-runtime/base/log.h"

namespace lanekeeper {
namespace {

using std::chrono::milliseconds;

// A tap fires when a job is published, a hair before it is stored.
constexpr milliseconds kLookAgain{20};

}  // namespace

void JetStreamLaneProbe::Loop::Handle(ProbeAnswer&& mail) {
  const auto found = asked_.find(mail.token);
  if (found == asked_.end()) return;  // Too late, or of a lane that is gone.
  const Asked asked = std::move(found->second);
  asked_.erase(found);
  if (asked.question == Question::kDead) {
    OnDead({asked.key.pool_namespace, asked.key.pool}, mail.message);
    return;
  }
  LaneState* lane = Find(asked.key);
  if (lane == nullptr) return;
  if (asked.question == Question::kOldest) {
    OnOldest(*lane, mail.message);
  } else if (lane->asked == mail.token) {
    OnConsumer(*lane, mail.message);
  }
}

void JetStreamLaneProbe::Loop::OnConsumer(LaneState& lane, const nats::Message& answer) {
  const MonotonicTime now = clock_.Now();
  lane.asked = 0;
  const auto state = nats::ParseConsumerState(answer);
  if (!state) {
    lane.denied.clear();
    if (ApplyError(state.error(), &lane.sample)) {
      lane.answered_at = now;
      Publish(lane);
    } else {
      DoubtSilence(lane);
    }
    if (lane.ask_again) AskLane(lane);
    return;
  }
  lane.answered_at = now;
  lane.denied.clear();
  ApplyConsumer(*state, now, &lane.sample);
  lane.passing.OnAnswer(lane.sample.ack_pending, lane.sample.jobs_running, now);
  lane.sample.jobs_passing = lane.passing.count();
  if (lane.counted) lane.sample.arrivals_total += ArrivalsBetween(*lane.counted, *state);
  lane.counted = *state;
  lane.delivered_sequence = state->delivered_stream_sequence;
  if (lane.sample.waiting == 0) lane.oldest_stored_at.reset();
  if (lane.oldest_stored_at) {
    lane.sample.oldest_wait_seconds = WaitSeconds(*lane.oldest_stored_at, clock_.WallNow());
  }
  {
    const std::lock_guard lock(latest_mutex_);
    ++stats_.samples;
  }
  Publish(lane);
  if (lane.ask_again) {
    AskLane(lane);
  } else if (lane.look_again) {
    lane.look_again = false;
    if (lane.sample.waiting == 0) SetDue(lane, now + kLookAgain);
  }
  if (lane.sample.waiting > 0) AskOldest(lane);
  if (AtRest(lane.sample)) Tap(lane);
}

// Of the first job that was never delivered. The answer carries the job's payload (the API has no
// way to leave it out), so it is asked for only when it can be another one than last time.
void JetStreamLaneProbe::Loop::AskOldest(LaneState& lane) {
  const MonotonicTime now = clock_.Now();
  if (!lane.own_subject || lane.oldest_asked ||
      now - lane.oldest_asked_at < options_.oldest_wait_interval) {
    return;
  }
  if (lane.oldest_stored_at && lane.oldest_for_sequence == lane.delivered_sequence) return;
  lane.oldest_for_sequence = lane.delivered_sequence;
  lane.oldest_asked_at = now;
  std::uint64_t token = 0;
  lane.oldest_asked = Ask(Question::kOldest, lane.lane.key, "DIRECT.GET." + lane.lane.stream,
                          "{\"seq\":" + std::to_string(lane.delivered_sequence + 1) +
                              ",\"next_by_subj\":\"" + JobSubject(lane.lane.key) + "\"}",
                          &token);
}

void JetStreamLaneProbe::Loop::OnOldest(LaneState& lane, const nats::Message& answer) {
  lane.oldest_asked = false;
  const auto stored_at =
      nats::ParseServerTime(answer.Header("Nats-Time-Stamp").value_or(std::string_view()));
  // Also when it was taken meanwhile (404): the next answer about the consumer says so.
  if (!stored_at || lane.sample.waiting == 0) return;
  lane.oldest_stored_at = *stored_at;
  lane.sample.oldest_wait_seconds = WaitSeconds(*stored_at, clock_.WallNow());
  Publish(lane);
}

void JetStreamLaneProbe::Loop::OnDead(const PoolKey& key, const nats::Message& answer) {
  const auto pool = pools_.find(key);
  if (pool == pools_.end()) return;
  pool->second.asked = 0;
  const auto state = nats::ParseStreamState(answer);
  // No stream yet: no dead letters. Any other error: what was known stays.
  if (!state && state.error().cause != nats::ApiCause::kStreamMissing) return;
  std::map<std::string, std::int64_t> counts;
  if (state) counts.insert(state->subjects.begin(), state->subjects.end());
  for (auto at = lanes_.lower_bound({key.pool_namespace, key.name, ""});
       at != lanes_.end() && at->first.pool_namespace == key.pool_namespace &&
       at->first.pool == key.name;
       ++at) {
    const auto found = counts.find(DeadSubject(at->first));
    at->second.sample.dead_letters = found == counts.end() ? 0 : found->second;
    Publish(at->second);
  }
}

void JetStreamLaneProbe::Loop::Tap(LaneState& lane) {
  if (lane.tap || taps_denied_ || taps_ >= options_.tap_lanes_max || !lane.own_subject ||
      clock_.Now() < lane.tap_after) {
    return;
  }
  auto tap = connection_.SubscribeOnce(JobSubject(lane.lane.key),
                                       [this, key = lane.lane.key](const nats::Message& /*job*/) {
                                         Post(LaneHint{key, /*from_tap=*/true});
                                       });
  if (!tap) return;
  lane.tap = *std::move(tap);
  ++taps_;
  // A job published between the answer and the tap woke nobody.
  SetDue(lane, clock_.Now() + kLookAgain);
  const std::lock_guard lock(latest_mutex_);
  stats_.taps_armed = taps_;
}

void JetStreamLaneProbe::Loop::Untap(LaneState& lane) {
  if (!lane.tap) return;
  lane.tap.reset();
  --taps_;
  const std::lock_guard lock(latest_mutex_);
  stats_.taps_armed = taps_;
}

}  // namespace lanekeeper
