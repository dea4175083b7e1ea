// Answers and request bodies of the HTTP API other than jobs (job_view.h) and submissions
// (submission.h), as JSON: the schemas of openapi.json. Pure.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "worker-runtime/gateway/admission.h"
#include "worker-runtime/gateway/decisions.h"
#include "worker-runtime/gateway/gateway.h"
#include "worker-runtime/gateway/job_desk.h"
#include "worker-runtime/gateway/pool_directory.h"
#include "worker-runtime/gateway/problem.h"
#include "worker-runtime/job/dead_entry.h"
#include "worker-runtime/job/pool_brief.h"
#include "worker-runtime/job/worker_roster.h"

namespace lanekeeper::gateway {

std::string JobPath(std::string_view id);  // "/v1/jobs/<id>"

// Accepted. `state` nothing: the lane has forgotten the job.
std::string WriteAccepted(const Accepted& accepted, std::optional<ViewState> state);
// A line of a bulk answer, without its line break; lines count from 1.
std::string WriteBulkAccepted(std::size_t line, const Accepted& accepted);
std::string WriteBulkProblem(std::size_t line, const Problem& problem);

std::string WriteJobList(const JobList& list);

struct LanePicture {
  const LaneBrief* brief = nullptr;
  std::optional<LaneGauge> gauge;
  std::optional<LanePause> pause;
};
std::string WritePoolList(const std::vector<std::shared_ptr<const PoolBrief>>& pools);
std::string WritePool(const PoolBrief& pool, const std::vector<LanePicture>& lanes,
                      const PoolStatusText& status);
std::string WritePause(std::string_view lane, const LanePause& pause);

// A worker, and the jobs that it runs by their records.
struct WorkerPicture {
  std::string lane;
  ReportedWorker said;
  std::vector<JobView> jobs;  // Each has a record.
};
// `complete`: no running job that is written down is missing.
std::string WriteWorkers(const std::vector<WorkerPicture>& workers, bool complete);
std::string WriteWorker(std::string_view lane, const WorkerReport& report);  // Without jobs.
std::string WriteDecisions(const std::vector<Decision>& decisions);

std::string WriteDeadList(const std::vector<DeadEntry>& entries, std::uint64_t next);
// With headers; with its payload when asked for.
std::string WriteDeadEntry(const DeadEntry& entry, bool payload);
std::string WriteDeadGroups(const DeadGroups& groups);
struct DeadCount {
  std::int64_t done = 0;
  std::int64_t kept = 0;
  std::string kept_why;
  bool complete = true;
  std::string ended_by;
};
std::string WriteDeadCount(const DeadCount& count);

// Request bodies. kInvalidRequest names the field, also one that does not exist.
struct ReplayRequest {
  DeadFilter filter;
  double per_second = 0;
  std::string lane;
};
Answer<ReplayRequest> ReadReplayMany(std::string_view json);
Answer<std::string> ReadReplayOne(std::string_view json);  // The lane; an empty body is allowed.
Answer<DeadFilter> ReadDiscardMany(std::string_view json);
// `now` is what "for" counts from. At most kPauseMax, and in the future.
inline constexpr std::chrono::hours kPauseMax{30 * 24};
inline constexpr std::size_t kPauseReasonBytesMax = 256;
Answer<LanePause> ReadPause(std::string_view json, WallTime now);

}  // namespace lanekeeper::gateway
