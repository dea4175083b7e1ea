// Every sentence that people read about a lane: conditions, Events and the decision in status. One
// file, so that the same fact is said in the same words everywhere. Pure.
#pragma once

#include <chrono>
#include <cstddef>
#include <string>
#include <string_view>

#include "operator/scaling/decide_workers.h"

namespace lanekeeper::scaling {

// The condition reason for a doubt, a stable PascalCase word: "NatsDisconnected".
std::string_view ReasonOf(Doubt doubt);

// A clause: "NATS is not connected (…)". `detail` is what the server said, may be empty.
std::string DescribeDoubt(Doubt doubt, std::string_view detail);

// One sentence: what was decided and from which numbers.
// "Scaled from 0 to 13 workers: 201 jobs waiting and 3 running, 16 per worker."
// "Kept 5 workers: 30 jobs ask for 2, but the last 15s asked for 5."
// `asides`: what is known beside the numbers.
struct Asides {
  std::string_view doubt_detail;  // What the server said.
  std::string_view release;       // DescribeRelease, while workers are released.
  bool observed_only = false;     // scaling.mode: Observe.
};
std::string DescribeDecision(const ScalingPolicy& policy, const Observation& observation,
                             const Asides& asides, const ScalingDecision& decision);

// "3 of 5 released, 2 busy, oldest for 01:12:40". The time is rounded down, so that a status is not
// written anew with every second.
std::string DescribeRelease(int released, int to_release, int busy,
                            std::chrono::seconds oldest_running);

// What one term did, in a few words: "204 jobs at 16 per worker".
std::string DescribeTerm(const ScalingPolicy& policy, const Observation& observation,
                         const TermResult& term);

// Sentences of the pool's conditions. None holds a number that changes from sample to sample: a
// condition is written only when it says something new.
std::string HeldSentence(std::string_view lane, Doubt doubt, std::string_view detail);
std::string AllLanesAnswerSentence(std::size_t lanes);
std::string LimitedSentence(std::string_view lane, ScalingReason reason);
// `why` is what the platform said.
std::string CapacityShortSentence(std::string_view lane, std::string_view why);
// Large images and models take their time, and a worker says nothing before it runs.
inline constexpr std::chrono::minutes kSilenceIsNewsAfter{2};
// `lanes`: their names, with commas. The sentence has the time above in words.
std::string WorkersSilentSentence(std::string_view lanes);
std::string InterruptedSentence(std::string_view lane, std::string_view worker, int jobs);
std::string DeadLettersSentence(std::string_view lanes);
std::string LanesPausedSentence(std::string_view lanes);
// "Lane short: applying deployment media-short: 403 forbidden."
std::string LaneSentence(std::string_view lane, std::string_view clause);

// Event reason for a change of the worker count: ScaledUp or ScaledDown.
std::string_view EventReasonOf(int workers_from, int workers_to);

}  // namespace lanekeeper::scaling
