// What is known about a job beyond its message: kept in the KV bucket LK_jobs, one key a job
// (RecordKey in names.h; JSON by nats/job_record_json.h). Pure.
//
// The record is the fence. Every write names the revision it is based on, and the store refuses one
// that is based on an older revision: whoever claimed the job last is the only one whose progress,
// checkpoint and result are taken.
//
//   (none) ─claim─▶ kRunning ─▶ kDone
//                    │  ▲  └──▶ kDead, kMoved
//                    ▼  │
//                  kWaiting     for another attempt, or because it was interrupted
//
//   (none), kRunning, kWaiting ─somebody asked for it─▶ kCancelled
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "worker-runtime/base/time.h"

namespace lanekeeper {

inline constexpr std::size_t kCheckpointBytesMax = 256 * 1024;
inline constexpr std::size_t kResultBytesMax = 64 * 1024;
inline constexpr std::size_t kProgressNoteBytesMax = 256;
inline constexpr std::size_t kRecordHistoryMax = 10;  // Earlier lives; the oldest go first.
inline constexpr std::size_t kPastRunsMax = 10;       // The oldest go first.
inline constexpr std::size_t kPastRunErrorBytesMax = 256;

// How much is written down about the jobs of a lane.
enum class Tracking {
  kFull,      // Every start and every end. The default.
  kFailures,  // Nothing about a job that succeeds on its first delivery.
  kNone,      // No records: the queue's delivery count is all there is, and there is no fence.
};
std::string_view NameOf(Tracking tracking);  // "Full", "Failures", "None"
std::optional<Tracking> TrackingFromName(std::string_view name);

enum class JobState { kRunning, kWaiting, kDone, kDead, kMoved, kCancelled };
// "running", "waiting", "done", "dead", "moved", "cancelled"
std::string_view NameOf(JobState state);
std::optional<JobState> JobStateFromName(std::string_view name);

// An earlier life of a job id: before a replay, or an earlier message with the same id.
struct PastLife {
  JobState state = JobState::kDead;
  std::string reason;  // Of a dead letter.
  int attempts = 0;
  int crashes = 0;
  WallTime ended_at{};
  bool operator==(const PastLife&) const = default;
};

// A run that did not end its job: the next one goes on.
inline constexpr std::string_view kRunFailed = "failed";
inline constexpr std::string_view kRunCrashed = "crashed";
inline constexpr std::string_view kRunInterrupted = "interrupted";
inline constexpr std::string_view kRunMoved = "moved";  // To another lane: its time was over.
struct PastRun {
  WallTime started_at{};
  WallTime ended_at{};
  std::string outcome;  // One of the words above.
  std::string worker;
  std::string error;  // Its beginning.
  bool operator==(const PastRun&) const = default;
};

struct JobRecord {
  std::string id;
  std::string type;
  JobState state = JobState::kRunning;

  // Which message it is about. A message with the same id and another place in the queue is another
  // life of the job.
  std::uint64_t sequence = 0;  // In the lane's stream.
  WallTime stored_at{};
  std::string moved_from;  // "short.17": lane and sequence it came from by onOverrun; else empty.

  // The three budgets' counts, and all starts.
  int attempts = 0;       // Errors.
  int crashes = 0;        // Deaths of a worker, or of the process that ran it.
  int interruptions = 0;  // Drains, evictions. Free.
  int runs = 0;           // Starts of a handler, the present one included: the fence people see.

  std::string worker;    // That has it, or had it last.
  std::string instance;  // Of that worker: a pod's name stays, its process does not.
  WallTime first_started_at{};
  WallTime started_at{};  // The last start.
  WallTime ended_at{};    // Of the last run; the epoch while it is running.

  double progress = 0;  // 0..1
  std::string progress_note;
  std::string checkpoint;  // Bytes; kept until the job is done.
  std::string result;      // Bytes.
  std::string error;       // Of the last failure or crash; one line.
  std::string error_class;
  std::string dead_reason;  // With kDead: one of the words of settlement.h.
  std::string moved_to;     // With kMoved: the lane.
  std::vector<PastLife> history;
  // Of this life; empty for a job that is done on its first run.
  std::vector<PastRun> past_runs;

  bool operator==(const JobRecord&) const = default;
};

// kDone, kDead, kMoved or kCancelled: no handler will run for this message again.
bool Finished(const JobRecord& record);

}  // namespace lanekeeper
