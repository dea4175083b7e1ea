#include "operator/scaling/wording.h"

#include <cstdint>

#include "worker-runtime/base/duration.h"

namespace lanekeeper::scaling {
namespace {

std::string Count(std::int64_t count, std::string_view noun) {
  return std::to_string(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

// "201 jobs waiting, 3 running and 2 parked"
std::string DescribeBacklog(const Observation& seen) {
  std::string text = Count(seen.waiting, "job") + " waiting";
  if (seen.parked == 0) return text + " and " + std::to_string(seen.running) + " running";
  return text + ", " + std::to_string(seen.running) + " running and " +
         std::to_string(seen.parked) + " parked";
}

std::string Because(const ScalingPolicy& policy, const Observation& seen,
                    std::string_view doubt_detail, const ScalingDecision& decision) {
  const std::string backlog = DescribeBacklog(seen);
  const std::string rate = std::to_string(policy.jobs_per_worker) + " per worker";
  const int needed = decision.terms.empty() ? 0 : decision.terms.front().workers;
  switch (decision.reason) {
    case ScalingReason::kOnTarget:
    case ScalingReason::kBacklogGrew:
    case ScalingReason::kBacklogShrank:
      return backlog + ", " + rate;
    case ScalingReason::kRetriesWaiting:
      return Count(seen.parked, "job") + " parked for a retry; one worker stays to take them up";
    case ScalingReason::kCappedAtMax:
      return backlog + " ask for " + std::to_string(needed) + ", workers.max is " +
             std::to_string(policy.workers_max);
    case ScalingReason::kCappedByConsumer:
      return backlog + " ask for " + std::to_string(needed) +
             ", the consumer's max_ack_pending is " + std::to_string(seen.ack_pending_max);
    case ScalingReason::kFlooredAtMin:
      return backlog + " ask for " + std::to_string(needed) + ", workers.min is " +
             std::to_string(policy.workers_min);
    case ScalingReason::kHeldByWindow:
      return backlog + " ask for " + std::to_string(decision.demand) + ", but the last " +
             FormatDuration(policy.scale_down_window) + " asked for " +
             std::to_string(decision.workers);
    case ScalingReason::kHeldByBusy:
      return backlog + " ask for " + std::to_string(decision.demand) + ", but " +
             Count(seen.workers_busy, "worker") + " may have a running job";
    case ScalingReason::kHeldByDoubt:
      return DescribeDoubt(seen.doubt, doubt_detail);
    case ScalingReason::kPaused:
      return "the pool is paused";
  }
  return backlog;
}

}  // namespace

std::string_view ReasonOf(Doubt doubt) {
  switch (doubt) {
    case Doubt::kNone:
      return "Sampled";
    case Doubt::kNoSampleYet:
      return "NoSampleYet";
    case Doubt::kStale:
      return "NoAnswer";
    case Doubt::kDisconnected:
      return "NatsDisconnected";
    case Doubt::kJetStreamOff:
      return "JetStreamUnavailable";
    case Doubt::kConsumerMissing:
      return "ConsumerMissing";
    case Doubt::kRefused:
      return "PermissionDenied";
    case Doubt::kUnreadable:
      return "UnreadableAnswer";
  }
  return "Unknown";
}

std::string DescribeDoubt(Doubt doubt, std::string_view detail) {
  std::string text;
  switch (doubt) {
    case Doubt::kNone:
      text = "the queue answers";
      break;
    case Doubt::kNoSampleYet:
      text = "the queue has not been sampled yet";
      break;
    case Doubt::kStale:
      text = "the queue does not answer";
      break;
    case Doubt::kDisconnected:
      text = "NATS is not connected";
      break;
    case Doubt::kJetStreamOff:
      text = "JetStream is not available in this NATS account";
      break;
    case Doubt::kConsumerMissing:
      text = "the stream or its consumer does not exist";
      break;
    case Doubt::kRefused:
      text = "NATS refuses to tell this user about the queue";
      break;
    case Doubt::kUnreadable:
      text = "the answer about the queue could not be read";
      break;
  }
  if (!detail.empty()) text += " (" + std::string(detail) + ")";
  return text;
}

std::string DescribeDecision(const ScalingPolicy& policy, const Observation& seen,
                             std::string_view doubt_detail, const ScalingDecision& decision) {
  const std::string because = Because(policy, seen, doubt_detail, decision);
  if (decision.workers == seen.workers_current) {
    return "Kept " + Count(decision.workers, "worker") + ": " + because + ".";
  }
  return "Scaled from " + std::to_string(seen.workers_current) + " to " +
         Count(decision.workers, "worker") + ": " + because + ".";
}

std::string DescribeTerm(const ScalingPolicy& policy, const Observation& seen,
                         const TermResult& term) {
  switch (term.term) {
    case Term::kDemand:
      return DescribeBacklog(seen) + ", " + std::to_string(policy.jobs_per_worker) + " per worker";
    case Term::kBounds:
      return "min " + std::to_string(policy.workers_min) + ", max " +
             std::to_string(policy.workers_max);
    case Term::kHold:
      return "window " + FormatDuration(policy.scale_down_window);
    case Term::kBusyFloor:
      return Count(seen.workers_busy, "worker") + " may be busy";
    case Term::kDoubt:
      return std::string(ReasonOf(seen.doubt));
    case Term::kPaused:
      return "spec.paused";
  }
  return "";
}

std::string LaneSentence(std::string_view lane, std::string_view clause) {
  return "Lane " + std::string(lane) + ": " + std::string(clause) + ".";
}

std::string HeldSentence(std::string_view lane, Doubt doubt, std::string_view detail) {
  return LaneSentence(lane, DescribeDoubt(doubt, detail)) +
         " Its workers are held as they are; nothing has to be restarted once it answers.";
}

std::string AllLanesAnswerSentence(std::size_t lanes) {
  return lanes == 1 ? "The lane answers." : "All " + std::to_string(lanes) + " lanes answer.";
}

std::string LimitedSentence(std::string_view lane, ScalingReason reason) {
  return LaneSentence(lane, reason == ScalingReason::kCappedByConsumer
                                ? "the backlog asks for more workers than the consumer's "
                                  "max_ack_pending lets run"
                                : "the backlog asks for more workers than workers.max");
}

std::string DeadLettersSentence(std::string_view lanes) {
  return "There are dead letters of " + std::string(lanes) +
         ": jobs that were given up, with their reason.";
}

std::string_view EventReasonOf(int workers_from, int workers_to) {
  return workers_to > workers_from ? "ScaledUp" : "ScaledDown";
}

}  // namespace lanekeeper::scaling
