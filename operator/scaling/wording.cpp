#include "operator/scaling/wording.h"

#include <cmath>
#include <cstdint>

#include "operator/scaling/lane_memory.h"
#include "worker-runtime/base/duration.h"

namespace lanekeeper::scaling {
namespace {

std::string Count(std::int64_t count, std::string_view noun) {
  return std::to_string(count) + " " + std::string(noun) + (count == 1 ? "" : "s");
}

// "201 jobs waiting, 3 running and 2 parked"
std::string DescribeBacklog(const Observation& seen) {
  std::string text = Count(seen.waiting, "job") + " waiting";
  if (seen.parked == 0) {
    text += " and " + std::to_string(seen.running) + " running";
  } else {
    text += ", " + std::to_string(seen.running) + " running and " + std::to_string(seen.parked) +
            " parked";
  }
  return seen.lane_paused ? text + " in a paused lane" : text;
}

// What the backlog asks for, before the bounds.
int NeededOf(const ScalingDecision& decision) {
  int needed = 0;
  for (const TermResult& term : decision.terms) {
    if (term.term == Term::kDemand || term.term == Term::kLanePaused) needed = term.workers;
  }
  return needed;
}

std::string TwoDigits(std::int64_t number) {
  return (number < 10 ? "0" : "") + std::to_string(number);
}

// "0.4s", "12s", "2h5m": rough, for service times.
std::string RoughSeconds(double seconds) {
  if (seconds < 10) {
    const std::int64_t tenths = std::llround(seconds * 10);
    return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + "s";
  }
  return FormatDuration(std::chrono::seconds(static_cast<std::int64_t>(seconds)));
}

// "16 per worker", or what the wait policy goes by.
std::string DescribeTarget(const ScalingPolicy& policy, const Observation& seen) {
  if (!policy.target_wait || seen.estimate.service_seconds_mean <= 0) {
    return std::to_string(policy.jobs_per_worker) + " per worker";
  }
  return "a job takes " + RoughSeconds(seen.estimate.service_seconds_mean) +
         ", none is to wait longer than " + FormatDuration(*policy.target_wait);
}

std::string Because(const ScalingPolicy& policy, const Observation& seen, const Asides& asides,
                    const ScalingDecision& decision) {
  const std::string backlog = DescribeBacklog(seen);
  const std::string rate = DescribeTarget(policy, seen);
  const int needed = NeededOf(decision);
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
             FormatDuration(HoldWindow(policy, seen.estimate)) + " asked for " +
             std::to_string(decision.workers);
    case ScalingReason::kHeldByBusy:
      return backlog + " ask for " + std::to_string(decision.demand) + ", but " +
             Count(decision.workers, "worker") + " cannot go yet";
    case ScalingReason::kCappedByBudget:
      return backlog + " ask for " + std::to_string(decision.demand) +
             ", the pool's budget leaves " + std::to_string(decision.workers);
    case ScalingReason::kHeldByCapacity:
      return backlog + " ask for " + std::to_string(decision.demand) +
             ", but there is no room for " + std::to_string(seen.workers_stuck) +
             " of those already asked for";
    case ScalingReason::kHeldByDoubt:
      return DescribeDoubt(seen.doubt, asides.doubt_detail);
    case ScalingReason::kLanePaused:
      return "the lane is paused: " + Count(seen.waiting + seen.parked, "job") +
             " cannot be handed out, " + std::to_string(seen.running) + " running";
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
                             const Asides& asides, const ScalingDecision& decision) {
  std::string text;
  if (decision.workers == seen.workers_current) {
    text = (asides.observed_only ? "Would keep " : "Kept ") + Count(decision.workers, "worker");
  } else {
    text = (asides.observed_only ? "Would scale from " : "Scaled from ") +
           std::to_string(seen.workers_current) + " to " + Count(decision.workers, "worker");
  }
  text += ": " + Because(policy, seen, asides, decision);
  if (!asides.release.empty()) text += "; " + std::string(asides.release);
  return text + ".";
}

std::string DescribeRelease(int released, int to_release, int busy,
                            std::chrono::seconds oldest_running) {
  std::string text = std::to_string(released) + " of " + std::to_string(to_release) + " released";
  if (busy == 0) return text;
  // Ten seconds, and minutes once it is about them.
  const std::int64_t seconds = oldest_running.count();
  const std::int64_t shown = seconds < 600 ? seconds / 10 * 10 : seconds / 60 * 60;
  return text + ", " + std::to_string(busy) + " busy, oldest for " + TwoDigits(shown / 3600) + ":" +
         TwoDigits(shown / 60 % 60) + ":" + TwoDigits(shown % 60);
}

std::string DescribeTerm(const ScalingPolicy& policy, const Observation& seen,
                         const TermResult& term) {
  switch (term.term) {
    case Term::kDemand:
      return DescribeBacklog(seen) + ", " + DescribeTarget(policy, seen);
    case Term::kLanePaused:
      return "only running jobs count";
    case Term::kBounds:
      return "min " + std::to_string(policy.workers_min) + ", max " +
             std::to_string(policy.workers_max);
    case Term::kHold:
      return "window " + FormatDuration(HoldWindow(policy, seen.estimate));
    case Term::kCapacity:
      return "no room for " + Count(seen.workers_stuck, "worker");
    case Term::kBudget:
      return "spec.budget";
    case Term::kBusyFloor:
      return "workers go when they have ended their jobs";
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
  switch (reason) {
    case ScalingReason::kCappedByConsumer:
      return LaneSentence(lane,
                          "the backlog asks for more workers than the consumer's max_ack_pending "
                          "lets run");
    case ScalingReason::kCappedByBudget:
      return LaneSentence(
          lane, "the backlog asks for more workers than spec.budget leaves for this lane");
    default:
      return LaneSentence(lane, "the backlog asks for more workers than workers.max");
  }
}

std::string CapacityShortSentence(std::string_view lane, std::string_view why) {
  return LaneSentence(lane, "there is no room for some of its workers (" + std::string(why) + ")") +
         " Jobs wait for those that run.";
}

std::string WorkersSilentSentence(std::string_view lanes) {
  return "Lanes whose workers have run for two minutes, and none has asked for a job or "
         "reported: " +
         std::string(lanes) +
         ". Their logs say why; most often they do not reach NATS (address, credentials, TLS) or "
         "end right after they started.";
}

std::string LanesPausedSentence(std::string_view lanes) {
  return "Paused lanes: " + std::string(lanes) +
         ". Jobs are taken and not handed out, running ones go on, and no worker is started for "
         "those that wait.";
}

std::string InterruptedSentence(std::string_view lane, std::string_view worker, int jobs) {
  return LaneSentence(lane, "worker " + std::string(worker) + " was told to end with " +
                                Count(jobs, "running job") +
                                " in the place of a drained one; it has its grace to finish") +
         " This should not happen: please report it.";
}

std::string DeadLettersSentence(std::string_view lanes) {
  return "There are dead letters of " + std::string(lanes) +
         ": jobs that were given up, with their reason.";
}

std::string_view EventReasonOf(int workers_from, int workers_to) {
  return workers_to > workers_from ? "ScaledUp" : "ScaledDown";
}

}  // namespace lanekeeper::scaling
