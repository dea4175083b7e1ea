// Lanes as this gateway sees them: how deep, how fast they drain, who has jobs waiting.
//
// A lane that gets jobs is looked at every interval (STREAM.INFO and CONSUMER.INFO, both answered
// by the leader); nothing is asked per job. Any thread.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <utility>
#include <vector>

#include "worker-runtime/base/call_queue.h"
#include "worker-runtime/base/time.h"
#include "worker-runtime/gateway/admission.h"
#include "worker-runtime/gateway/caller_counts.h"
#include "worker-runtime/gateway/problem.h"
#include "worker-runtime/nats/connection.h"
#include "worker-runtime/nats/jetstream_answers.h"

namespace lanekeeper::gateway {

struct GaugeOptions {
  std::chrono::milliseconds interval{100};
  std::chrono::seconds idle{10};  // Not looked at any more so long after the last job.
};

// How fast jobs leave a lane, from what was seen of its stream. One thread at a time.
class DrainRate {
 public:
  // `stored_ever` less `messages` jobs have left since the stream was made.
  void Add(MonotonicTime at, std::uint64_t stored_ever, std::int64_t messages);
  double PerSecond() const;  // 0: none seen.

 private:
  struct Seen {
    MonotonicTime at{};
    std::int64_t left = 0;
  };
  std::deque<Seen> seen_;  // The last seconds, the oldest first.
};

class GaugedLane : public std::enable_shared_from_this<GaugedLane> {
 public:
  // `connection` outlives every answer.
  GaugedLane(LaneKey key, GaugeOptions options, nats::Connection& connection,
             std::shared_ptr<CallQueue> waiting);

  const LaneKey& key() const { return key_; }

  // Looks at it for a while from now on.
  void Want(const LaneBrief& brief, MonotonicTime now);
  bool Wanted(MonotonicTime now) const;
  // Asks for a sample unless one is on its way.
  void Sample();

  // Calls `then`, at once where nothing is missing: a fresh sample, and with `callers` what each
  // caller has waiting. Goes on without a sample that cannot be had; kQueueUnavailable without
  // callers, or without the subject of an external lane.
  void WhenReady(bool callers, std::function<void(Answer<void>)> then);

  // As it was seen last, with what this gateway has put in since. Nothing before that.
  std::optional<LaneGauge> Gauge() const;
  // The stream has refused a job, and no later look has shown room.
  bool Full() const;
  // Where jobs are published.
  std::string Subject() const;

  void NotePublishing();  // It counts as being in the lane…
  void NoteNotStored();   // …and no longer.
  void NoteFull();
  std::int64_t CallerWaiting(const Caller& caller) const;
  void BeginCaller(const Caller& caller);
  void EndCaller(const Caller& caller, std::uint64_t sequence);
  // True at most once in 20 ms: whoever gets it tells the operator that there are jobs.
  bool TakeWake(MonotonicTime now);

 private:
  struct Look;  // A sample on its way.

  void TakeLook(const Look& look);
  void AfterLook(bool callers, std::function<void(Answer<void>)> then);
  void CountCallers();
  void EndCallers(std::optional<Problem> problem);
  bool Fresh(MonotonicTime now) const;  // With the lock.
  void ReadSubject(const nats::StreamState& stream, const nats::ConsumerState* consumer);

  const LaneKey key_;
  const GaugeOptions options_;
  nats::Connection& connection_;
  const std::shared_ptr<CallQueue> waiting_;
  std::atomic<std::int64_t> next_wake_ns_{0};

  mutable std::mutex mutex_;
  LaneBrief brief_;
  MonotonicTime wanted_until_{};
  std::string subject_;  // Empty: not known yet, or `subject_problem_`.
  std::string subject_problem_;
  bool looking_ = false;
  std::vector<std::function<void()>> after_look_;
  std::optional<LaneGauge> gauge_;
  MonotonicTime seen_at_{};
  std::uint64_t looks_ = 0;          // Begun.
  std::uint64_t full_since_ = 0;     // Looks begun when the stream refused; 0: it is not full.
  std::int64_t published_ = 0;       // By this gateway, ever.
  std::int64_t published_seen_ = 0;  // Of these, in the last sample.
  DrainRate drain_;
  CallerCounts callers_;
  bool callers_known_ = false;
  bool counting_callers_ = false;
  std::uint64_t delivered_ = 0;
  std::uint64_t last_sequence_ = 0;
  std::vector<std::function<void(Answer<void>)>> after_callers_;
};

class LaneGauges {
 public:
  LaneGauges(nats::Connection& connection, GaugeOptions options, std::shared_ptr<CallQueue> waiting)
      : connection_(connection), options_(options), waiting_(std::move(waiting)) {}

  std::shared_ptr<GaugedLane> LaneOf(const LaneKey& key);
  // Null: never asked for.
  std::shared_ptr<GaugedLane> Find(const LaneKey& key) const;
  // Looks at every lane that is wanted. Forgets those of which `exists` says no.
  void Look(MonotonicTime now, const std::function<bool(const LaneKey&)>& exists);

 private:
  nats::Connection& connection_;
  const GaugeOptions options_;
  const std::shared_ptr<CallQueue> waiting_;
  mutable std::shared_mutex mutex_;
  std::map<LaneKey, std::shared_ptr<GaugedLane>> lanes_;
};

}  // namespace lanekeeper::gateway
