// What a worker says about itself, on every change of state and at least every
// kWorkerReportInterval. Sent as JSON on WorkerReportSubject (the codec is
// nats/worker_report_json.h). Pure.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "worker-runtime/job/service_times.h"
#include "worker-runtime/job/type_counts.h"

namespace lanekeeper {

inline constexpr std::chrono::seconds kWorkerReportInterval{5};
// A worker not heard of for this long is no longer counted.
inline constexpr std::chrono::seconds kWorkerReportExpiry{16};
inline constexpr std::size_t kReportTypesMax = 32;

// What a request on WorkerControlSubject may say. These are answered with a report…
inline constexpr std::string_view kControlDrain = "drain";
inline constexpr std::string_view kControlUndrain = "undrain";
// Drains for good: once its last job has ended, however long that takes, the process ends with 0.
// Whatever runs it starts it anew.
inline constexpr std::string_view kControlEnd = "end";
// …and "holds <instance> <job id>" with "yes" or "no": whether that process has that job in hand.
inline constexpr std::string_view kControlHolds = "holds ";
// "fence <instance> <job id>", answered likewise: the record of that running job was written by
// somebody else, most likely cancelled; the worker looks at it at once.
inline constexpr std::string_view kControlFence = "fence ";
inline constexpr std::string_view kControlYes = "yes";
inline constexpr std::string_view kControlNo = "no";

enum class WorkerState {
  kRunning,   // Fetches jobs.
  kDraining,  // Fetches no more; finishes what it has.
  kDrained,   // Nothing running, nothing requested.
  kStopped,   // The last report of a worker that ends in good order.
};

// "running", "draining", "drained", "stopped"
std::string_view NameOf(WorkerState state);

struct WorkerReport {
  std::string worker;  // The pod's name.
  WorkerState state = WorkerState::kRunning;
  // It was told to end: its process takes no more jobs, whoever asks.
  bool ending = false;
  int slots = 1;          // >= 1.
  int running = 0;        // Jobs a handler has. 0..slots.
  std::int64_t done = 0;  // Since the worker started.
  std::int64_t failed = 0;
  std::int64_t dead = 0;
  // Since when the longest running of its jobs runs; 0 with none.
  std::chrono::seconds oldest_running{0};
  // Of handlers that came to their own end (done or failed), since the worker started.
  ServiceCounts service{};
  // The same by type, of the most used ones; the most used first. At most kReportTypesMax. Only in
  // reports that come every kWorkerReportInterval, and in the last one.
  std::vector<TypeService> types;
  bool operator==(const WorkerReport&) const = default;
};

}  // namespace lanekeeper
