// WorkerReport as JSON, the body of a message on WorkerReportSubject. Pure.
//
//   {"v":1,"worker":"media-short-abc","state":"running","slots":8,"running":3,
//    "done":10,"failed":1,"dead":0}
#pragma once

#include <string>
#include <string_view>

#include "worker-runtime/base/result.h"
#include "worker-runtime/job/worker_report.h"

namespace lanekeeper::nats {

std::string WriteWorkerReport(const WorkerReport& report);

// Ignores fields it does not know. kInvalid, naming the field, for a missing or impossible one:
// running outside 0..slots, more than 100,000 slots, a negative count, text over 4 KiB.
Result<WorkerReport> ReadWorkerReport(std::string_view json);

}  // namespace lanekeeper::nats
