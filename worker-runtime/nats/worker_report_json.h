// WorkerReport as JSON, the body of a message on WorkerReportSubject. Pure.
//
//   {"v":1,"worker":"media-short-abc","state":"running","slots":8,"running":3,
//    "done":10,"failed":1,"dead":0,"oldest_running_seconds":42,"service":[[12,7],[40,3]],
//    "types":[["thumbnail",[[12,7]]],["film",[[40,3]]]]}
//
// `service` has the buckets that are not empty, as [bucket, count], in any order; `types` the same
// for each type of job, and is left out when there are none.
#pragma once

#include <string>
#include <string_view>

#include "worker-runtime/base/result.h"
#include "worker-runtime/job/worker_report.h"

namespace lanekeeper::nats {

// The last types are left out where the text would be longer than 8 KiB, which is what readers of
// before there were types take.
std::string WriteWorkerReport(const WorkerReport& report);

// Ignores fields it does not know. kInvalid, naming the field, for a missing or impossible one:
// running outside 0..slots, more than 100,000 slots, a negative count, a bucket there is not or
// that stands twice, more than kReportTypesMax types, a type that is too long or stands twice, text
// over 16 KiB. The counts, oldest_running_seconds, service and types may be missing altogether:
// older workers do not say them.
Result<WorkerReport> ReadWorkerReport(std::string_view json);

}  // namespace lanekeeper::nats
