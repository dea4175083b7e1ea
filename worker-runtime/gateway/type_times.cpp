#include "worker-runtime/gateway/type_times.h"

#include <mutex>
#include <utility>

#include "worker-runtime/base/clock.h"
#include "worker-runtime/gateway/type_table.h"
#include "worker-runtime/job/names.h"
#include "worker-runtime/nats/worker_report_json.h"

namespace lanekeeper::gateway {
namespace {

constexpr int kReportPrefixTokens = 3;  // lk.v1.worker.
// Reports that wait to be read. One that is dropped loses nothing: the next one says it again.
constexpr int kReportQueue = 10'000;
// Most reports are told by a change and carry no types; a last one may be of a worker that counted
// some before.
constexpr std::string_view kTypesField = "\"types\":";
constexpr std::string_view kStoppedState = "\"state\":\"stopped\"";

class ReportedTypeTimes final : public TypeTimes {
 public:
  Result<void> Listen(nats::Connection& connection) {
    auto subscribed = connection.SubscribeCallback(
        kWorkerReportFilter, [this](const nats::Message& message) { Hear(message); }, kReportQueue);
    if (!subscribed) return Wrap(std::move(subscribed).error(), "listening to workers");
    reports_ = *std::move(subscribed);
    return {};
  }

  std::optional<std::chrono::milliseconds> P95(std::string_view pool_namespace,
                                               std::string_view pool,
                                               std::string_view type) const override {
    const std::lock_guard lock(mutex_);
    return table_.P95(pool_namespace, pool, type);
  }

 private:
  void Hear(const nats::Message& message) {
    const std::string_view text = message.payload;
    if (text.find(kTypesField) == std::string_view::npos &&
        text.find(kStoppedState) == std::string_view::npos) {
      return;
    }
    const auto lane = LaneKeyFromSubject(message.subject, kReportPrefixTokens);
    const auto report = nats::ReadWorkerReport(text);
    if (!lane || !report) return;  // The operator counts and tells of those.
    const std::lock_guard lock(mutex_);
    table_.Record(*lane, *report, clock_.Now());
  }

  SystemClock clock_;
  mutable std::mutex mutex_;
  TypeTable table_;
  std::unique_ptr<nats::Registration> reports_;  // First to go.
};

}  // namespace

Result<std::unique_ptr<TypeTimes>> TypeTimes::Start(nats::Connection& connection) {
  auto times = std::make_unique<ReportedTypeTimes>();
  Result<void> listening = times->Listen(connection);
  if (!listening) return tl::unexpected(std::move(listening).error());
  return std::unique_ptr<TypeTimes>(std::move(times));
}

}  // namespace lanekeeper::gateway
