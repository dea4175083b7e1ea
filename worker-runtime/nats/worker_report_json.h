// WorkerReport as JSON, the body of a message on WorkerReportSubject. Pure.
//
//   {"v":1,"worker":"media-short-abc","state":"running","slots":8,"running":3,
//    "done":10,"failed":1,"dead":0,"oldest_running_seconds":42,"service":[[12,7],[40,3]]}
//
// `service` has the buckets that are not empty, as [bucket, count], in any order.
#pragma once

#include <string>
#include <string_view>

#include "worker-runtime/base/result.h"
#include "worker-runtime/job/worker_report.h"

namespace lanekeeper::nats {

std::string WriteWorkerReport(const WorkerReport& report);

// Ignores fields it does not know. kInvalid, naming the field, for a missing or impossible one:
// running outside 0..slots, more than 100,000 slots, a negative count, a bucket there is not or
// that stands twice, text over 8 KiB. The counts, oldest_running_seconds and service may be missing
// altogether: older workers do not say them.
Result<WorkerReport> ReadWorkerReport(std::string_view json);

}  // namespace lanekeeper::nats
