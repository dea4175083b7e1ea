// A worker in this process, so that a test can be its handler.
#pragma once

#include <prometheus/registry.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "worker-runtime/job/handler_registry.h"
#include "worker-runtime/job/names.h"
#include "worker-runtime/nats/connection.h"
#include "worker-runtime/runner/nats_job_source.h"
#include "worker-runtime/runner/nats_record_store.h"
#include "worker-runtime/runner/runner.h"
#include "worker-runtime/runner/runner_metrics.h"

namespace lanekeeper::runner {

// Runs jobs from the end of its making to its own end. Its lane keeps records of all.
class InProcessWorker {
 public:
  InProcessWorker(const std::string& url, const LaneKey& lane, RunnerOptions options,
                  Handler handler)
      : metrics_(registry_, lane) {
    auto connection = nats::Connection::Open({.url = url});
    connection_ = *std::move(connection);
    auto source = NatsJobSource::Open(*connection_, {.stream = JobStreamName(lane),
                                                     .consumer = std::string(kConsumerName),
                                                     .dead_subject = DeadSubject(lane),
                                                     .lane = lane,
                                                     .worker = options.worker});
    source_ = *std::move(source);
    records_.emplace(*connection_, NatsRecordStoreOptions{.lane = lane});
    handlers_.HandleAny(std::move(handler));
    runner_.emplace(std::move(options), handlers_, *source_, &*records_, metrics_,
                    [](const WorkerReport&) {});
    runner_->Start();
  }

  Runner& runner() { return *runner_; }

 private:
  prometheus::Registry registry_;
  RunnerMetrics metrics_;
  HandlerRegistry handlers_;
  std::unique_ptr<nats::Connection> connection_;
  std::unique_ptr<NatsJobSource> source_;
  std::optional<NatsRecordStore> records_;
  std::optional<Runner> runner_;
};

}  // namespace lanekeeper::runner
