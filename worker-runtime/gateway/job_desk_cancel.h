// Takes a job out of the queue for good. Private to the desk.
#pragma once

#include <string>
#include <string_view>

#include "worker-runtime/gateway/job_desk_core.h"
#include "worker-runtime/gateway/job_view.h"
#include "worker-runtime/gateway/problem.h"

namespace lanekeeper::gateway {

// See JobDesk::Cancel. The record decides: it is written over the very revision that was read, so
// a worker that starts or ends the job at the same moment wins, or finds it cancelled. Then the
// message is removed; where that fails, the worker that gets it reads the record and does not run
// it.
void CancelJob(DeskCore& core, const JobView& job, std::string_view by, Then<JobView> then);

}  // namespace lanekeeper::gateway
