// Jobs after they were accepted: look one up, list them, watch one, cancel one; dead letters;
// pauses.
//
// Reads the records, the lanes' streams and the dead letters; also jobs that came by plain NATS.
// Any thread. Calls with a `then` never wait; those that return an Answer wait for NATS, up to
// some seconds, and belong on a thread that may.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "worker-runtime/gateway/job_view.h"
#include "worker-runtime/gateway/pool_directory.h"
#include "worker-runtime/gateway/problem.h"
#include "worker-runtime/nats/connection.h"
#include "worker-runtime/nats/dead_letters.h"

namespace lanekeeper::gateway {

struct JobListQuery {
  std::optional<std::string> lane;
  std::optional<ViewState> state;
  std::optional<std::string> type;
  std::optional<WallTime> since;  // Last change (waiting: stored) not before; until: before.
  std::optional<WallTime> until;
  std::size_t limit = 50;  // 1..500
  std::string cursor;      // Of the page before; empty: the first.
};
struct JobList {
  std::vector<JobView> jobs;  // Jobs that wait: the oldest first. Others: the last changed first.
  // Of the next page; empty: that was all. One call looks at a bounded number of messages, so a
  // page may be short, or empty, before the end.
  std::string next;
};

// Ends the watch when it is destroyed; no call runs afterwards. Not from inside its own call.
class JobWatch {
 public:
  virtual ~JobWatch() = default;
};

struct JobDeskOptions {
  std::chrono::milliseconds answer_timeout{5000};
  std::chrono::seconds recheck_interval{15};  // A watched job is read again at least so often.
  std::size_t watches_max = 20'000;
};

class JobDesk {
 public:
  // Both outlive this. Starts a thread.
  static std::unique_ptr<JobDesk> Start(nats::Connection& connection, const PoolDirectory& pools,
                                        JobDeskOptions options = {});
  virtual ~JobDesk() = default;

  // Which pool an id belongs to, from the id alone (LaneOfStream, or the stream of an external lane
  // of a known pool); kJobNotFound says which path to use instead.
  virtual Answer<LaneKey> LaneOfJob(std::string_view id) const = 0;

  // By id, in the lane its id names, or in all lanes of the pool. Follows moves.
  virtual void Find(std::string_view pool_namespace, std::string_view pool, std::string_view id,
                    Then<JobView> then) = 0;

  // `changed` gets the job as it is now when its revision is greater than `after`, or it has no
  // record yet and after is 0; and every later version, the last one when it has ended; a version
  // that was replaced at once may be left out, never the last. One call at a time, on a thread of
  // this; short. kTooManyRequests beyond watches_max.
  virtual Answer<std::unique_ptr<JobWatch>> Watch(const JobView& job, std::uint64_t after,
                                                  std::function<void(const JobView&)> changed) = 0;
  virtual std::size_t Watches() const = 0;

  // Waiting or parked: it never runs. Running: its handler is told to stop, and what it returns
  // does not count. The record says kCancelled from then on. kJobFinished, kJobNotTracked (a
  // running job of a lane without records).
  virtual void Cancel(const JobView& job, std::string_view by, Then<JobView> then) = 0;

  virtual Answer<JobList> List(const PoolBrief& pool, const JobListQuery& query) = 0;

  // Hands out no jobs of the lane until then. Resume: at once.
  virtual Answer<void> Pause(const LaneKey& lane, const LanePause& pause) = 0;
  virtual Answer<void> Resume(const LaneKey& lane) = 0;
};

}  // namespace lanekeeper::gateway
