// Workers as a gateway sees them: what they say of themselves, and the one thing it asks of them.
#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "worker-runtime/gateway/problem.h"
#include "worker-runtime/gateway/type_times.h"
#include "worker-runtime/job/names.h"
#include "worker-runtime/job/worker_report.h"
#include "worker-runtime/job/worker_roster.h"
#include "worker-runtime/nats/connection.h"

namespace lanekeeper::gateway {

struct WorkerDeskOptions {
  std::chrono::milliseconds answer_timeout{5000};
};

// Bounded: WorkerTable::kWorkersMax workers; beyond that, new ones are not shown. Thread-safe.
class WorkerDesk : public TypeTimes {
 public:
  // Subscribes to the workers' reports, once for all that is made of them. `connection` outlives
  // this.
  static Result<std::unique_ptr<WorkerDesk>> Start(nats::Connection& connection,
                                                   WorkerDeskOptions options = {});

  // Those heard of within kWorkerReportExpiry, by name. Workers report every kWorkerReportInterval:
  // so long after its start a gateway knows all.
  virtual std::vector<ReportedWorker> Workers(const LaneKey& lane) const = 0;

  // Tells the worker kControlEnd and returns what it says of itself then. Waits for its answer, up
  // to answer_timeout. kWorkerNotFound: nobody of that name listens. kWorkerSilent: it did not
  // answer in time, so it may or may not have heard; or it is too old to know the request.
  virtual Answer<WorkerReport> End(const LaneKey& lane, const std::string& worker) = 0;
};

}  // namespace lanekeeper::gateway
