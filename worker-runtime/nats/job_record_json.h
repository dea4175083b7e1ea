// A job's record as JSON: what stands in the KV bucket LK_jobs. Pure.
//
// Times are RFC 3339 with nanoseconds. Bytes are text where they can be ("result"), else base64
// ("result_base64"). What is empty or zero is left out.
#pragma once

#include <string>
#include <string_view>

#include "worker-runtime/base/result.h"
#include "worker-runtime/job/job_record.h"

namespace lanekeeper::nats {

std::string WriteJobRecord(const JobRecord& record);
// kInvalid, naming the field. Fields this version does not know are ignored.
Result<JobRecord> ReadJobRecord(std::string_view text);

}  // namespace lanekeeper::nats
