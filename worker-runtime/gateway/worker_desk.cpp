#include "worker-runtime/gateway/worker_desk.h"

#include <mutex>
#include <utility>

#include "worker-runtime/base/clock.h"
#include "worker-runtime/gateway/type_table.h"
#include "worker-runtime/gateway/worker_table.h"
#include "worker-runtime/nats/worker_report_json.h"

namespace lanekeeper::gateway {
namespace {

constexpr int kReportPrefixTokens = 3;  // lk.v1.worker.
// Reports that wait to be read. One that is dropped loses nothing: the next one says it again.
constexpr int kReportQueue = 10'000;

std::string NameWorker(const LaneKey& lane, const std::string& worker) {
  return "worker " + worker + " of lane " + ToString(lane);
}

class ReportedWorkers final : public WorkerDesk {
 public:
  ReportedWorkers(nats::Connection& connection, WorkerDeskOptions options)
      : connection_(connection), options_(options) {}

  Result<void> Listen() {
    auto subscribed = connection_.SubscribeCallback(
        kWorkerReportFilter, [this](const nats::Message& message) { Hear(message); }, kReportQueue);
    if (!subscribed) return Wrap(std::move(subscribed).error(), "listening to workers");
    reports_ = *std::move(subscribed);
    return {};
  }

  std::optional<std::chrono::milliseconds> P95(std::string_view pool_namespace,
                                               std::string_view pool,
                                               std::string_view type) const override {
    const std::lock_guard lock(mutex_);
    return types_.P95(pool_namespace, pool, type);
  }

  std::vector<ReportedWorker> Workers(const LaneKey& lane) const override {
    const std::lock_guard lock(mutex_);
    return workers_.Workers(lane, clock_.Now());
  }

  Answer<WorkerReport> End(const LaneKey& lane, const std::string& worker) override {
    const auto answer = connection_.Request(WorkerControlSubject(lane, worker), kControlEnd, {},
                                            options_.answer_timeout);
    if (!answer && !connection_.Connected()) {
      return Refuse(ProblemType::kQueueUnavailable,
                    "asking " + NameWorker(lane, worker) + ": " + answer.error().message,
                    std::chrono::seconds(2));
    }
    if (!answer) {
      return Refuse(ProblemType::kWorkerSilent,
                    NameWorker(lane, worker) + " did not answer: " + answer.error().message +
                        "; it may have heard, its next report says whether it ends",
                    std::chrono::seconds(5));
    }
    if (answer->NoResponders()) {
      return Refuse(ProblemType::kWorkerNotFound, "there is no " + NameWorker(lane, worker));
    }
    auto report = nats::ReadWorkerReport(answer->payload);
    if (report && report->ending) return *std::move(report);
    return Refuse(ProblemType::kWorkerSilent,
                  NameWorker(lane, worker) +
                      " does not know how to end: its Lanekeeper is older than this gateway's",
                  std::chrono::seconds(60));
  }

 private:
  void Hear(const nats::Message& message) {
    const auto lane = LaneKeyFromSubject(message.subject, kReportPrefixTokens);
    auto report = nats::ReadWorkerReport(message.payload);
    if (!lane || !report) return;  // The operator counts and tells of those.
    const std::lock_guard lock(mutex_);
    const MonotonicTime now = clock_.Now();
    // Most reports are told by a change and carry no types; a last one may be of a worker that
    // counted some before.
    if (!report->types.empty() || report->state == WorkerState::kStopped) {
      types_.Record(*lane, *report, now);
    }
    workers_.Record(*lane, *std::move(report), now);
  }

  nats::Connection& connection_;
  const WorkerDeskOptions options_;
  SystemClock clock_;
  mutable std::mutex mutex_;
  TypeTable types_;
  mutable WorkerTable workers_;                  // Forgets as it is read.
  std::unique_ptr<nats::Registration> reports_;  // First to go.
};

}  // namespace

Result<std::unique_ptr<WorkerDesk>> WorkerDesk::Start(nats::Connection& connection,
                                                      WorkerDeskOptions options) {
  auto desk = std::make_unique<ReportedWorkers>(connection, options);
  Result<void> listening = desk->Listen();
  if (!listening) return tl::unexpected(std::move(listening).error());
  return std::unique_ptr<WorkerDesk>(std::move(desk));
}

}  // namespace lanekeeper::gateway
