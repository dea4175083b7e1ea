#include "worker-runtime/runner/worker.h"

#include <prometheus/registry.h>

#include <cassert>
#include <cstdlib>
#include <memory>
#include <optional>
#include <utility>

#include "worker-runtime/base/duration.h"
#include "worker-runtime/base/log.h"
#include "worker-runtime/nats/connection.h"
#include "worker-runtime/nats/worker_report_json.h"
#include "worker-runtime/runner/crash_board.h"
#include "worker-runtime/runner/nats_job_source.h"
#include "worker-runtime/runner/nats_record_store.h"
#include "worker-runtime/runner/runner.h"
#include "worker-runtime/runner/supervisor.h"
#include "worker-runtime/telemetry/telemetry_server.h"

namespace lanekeeper {
namespace {

constexpr int kHttpThreads = 2;
constexpr std::chrono::milliseconds kFlushTimeout{500};
constexpr std::chrono::milliseconds kSignalPoll{20};
// How long after its last job a worker that was told to end is seen to have.
constexpr std::chrono::milliseconds kEndPoll{200};

int Refuse(const Error& error) {
  log::Error("worker", "not_started", {{"error", error.message}});
  return 1;
}

std::unique_ptr<nats::Registration> LogChanges(nats::Connection& connection) {
  using Kind = nats::ConnectionChange::Kind;
  return connection.OnChange([](const nats::ConnectionChange& change) {
    switch (change.kind) {
      case Kind::kConnected:
        return log::Info("worker", "connected");
      case Kind::kDisconnected:
        return log::Warning("worker", "disconnected", {{"error", change.text}});
      case Kind::kClosed:
        return log::Debug("worker", "connection_closed");
      case Kind::kDenied:
        return log::Error("worker", "denied",
                          {{"subject", change.subject}, {"error", change.text}});
      case Kind::kSlowConsumer:
      case Kind::kError:
        return log::Warning("worker", "connection_error", {{"error", change.text}});
    }
  });
}

runner::RunnerOptions RunnerOptionsOf(const WorkerOptions& options, runner::CrashBoard* board) {
  return {.worker = options.worker,
          .slots = options.slots,
          .policy = options.policy,
          .limits = {.timeout = options.timeout},
          .stop = runner::PlanStop(options.grace),
          .board = board};
}

// A question about one job: `asked` is "<instance> <job id>".
std::string_view AskAbout(const runner::Runner& runner, std::string_view asked,
                          bool (runner::Runner::*question)(std::string_view, std::string_view)
                              const) {
  const std::size_t space = asked.find(' ');
  const bool yes = space != std::string_view::npos &&
                   (runner.*question)(asked.substr(0, space), asked.substr(space + 1));
  return yes ? kControlYes : kControlNo;
}

bool Obey(runner::Runner& runner, std::string_view request) {
  if (request == kControlDrain) {
    log::Info("worker", "drain");
    runner.Drain();
  } else if (request == kControlUndrain) {
    log::Info("worker", "undrain");
    runner.Undrain();
  } else if (request == kControlEnd) {
    log::Info("worker", "end");
    runner.End();
  } else {
    return false;
  }
  return true;
}

// The requests of worker_report.h: kControlDrain and those below it.
Result<std::unique_ptr<nats::Registration>> ObeyControl(nats::Connection& connection,
                                                        const WorkerOptions& options,
                                                        runner::Runner& runner) {
  return connection.SubscribeCallback(
      WorkerControlSubject(options.lane, options.worker), [&](const nats::Message& message) {
        // Best effort: who asked asks again.
        const auto answer = [&](std::string_view text) {
          if (!message.reply.empty()) static_cast<void>(connection.Publish(message.reply, text));
        };
        if (message.payload.starts_with(kControlHolds)) {
          answer(AskAbout(runner, message.payload.substr(kControlHolds.size()),
                          &runner::Runner::Holds));
        } else if (message.payload.starts_with(kControlFence)) {
          answer(AskAbout(runner, message.payload.substr(kControlFence.size()),
                          &runner::Runner::CheckFence));
        } else if (Obey(runner, message.payload)) {
          runner.ReportTo([&](const WorkerReport& now) { answer(nats::WriteWorkerReport(now)); });
        } else {
          answer(R"({"error":"say drain, undrain or end"})");
        }
      });
}

Result<std::optional<telemetry::TelemetryServer>> ServeTelemetry(
    const WorkerOptions& options, const runner::Runner& runner,
    const std::shared_ptr<prometheus::Registry>& registry) {
  if (options.http_port == 0) return std::nullopt;
  telemetry::SizeThreadPool(kHttpThreads);
  telemetry::TelemetryOptions telemetry;
  telemetry.port = options.http_port;
  telemetry.metrics = registry;
  telemetry.healthy = [&runner] {
    if (runner.EverySlotStuck()) return telemetry::Health{false, "every slot is stuck"};
    return telemetry::Health{};
  };
  telemetry.ready = [&runner] {
    const std::string why = runner.NotReady();
    return why.empty() ? telemetry::Health{} : telemetry::Health{false, why};
  };
  auto server = telemetry::TelemetryServer::Start(std::move(telemetry));
  if (!server) return tl::unexpected(std::move(server).error());
  return std::optional(*std::move(server));
}

}  // namespace

Worker::Worker(WorkerOptions options) : options_(std::move(options)) {
  log::SetLevel(options_.log_level);
  if (!options_.supervise) return;
  if (auto board = runner::CrashBoard::Make(options_.slots)) {
    board_ = *std::move(board);
    runner::Supervise(options_, *board_);
  } else {
    log::Warning("worker", "not_supervised", {{"error", board.error().message}});
  }
}

Worker::~Worker() = default;

void Worker::Handle(std::string type, Handler handler) {
  handlers_.Handle(std::move(type), std::move(handler));
}

void Worker::HandleAny(Handler handler) { handlers_.HandleAny(std::move(handler)); }

int Worker::Run() {
  assert(!handlers_.empty());
  auto connection = nats::Connection::Open({.url = options_.nats_url,
                                            .name = "lanekeeper-worker " + options_.worker,
                                            .credentials_file = options_.nats_credentials,
                                            .tls = options_.nats_tls,
                                            .writes = nats::ConnectOptions::Writes::kTogether});
  if (!connection) return Refuse(connection.error());
  if (!(*connection)->Connected()) {
    log::Warning("worker", "not_connected_yet", {{"error", (*connection)->LastError()}});
  }
  const auto changes = LogChanges(**connection);
  auto source = runner::NatsJobSource::Open(**connection, {.stream = options_.stream,
                                                           .consumer = options_.consumer,
                                                           .dead_subject = options_.dead_subject,
                                                           .lane = options_.lane,
                                                           .worker = options_.worker,
                                                           .confirm_acks = options_.confirm_acks});
  if (!source) return Refuse(source.error());

  std::optional<runner::NatsRecordStore> records;
  if (options_.policy.tracking != Tracking::kNone) {
    records.emplace(**connection, runner::NatsRecordStoreOptions{.lane = options_.lane});
  }
  const auto registry = std::make_shared<prometheus::Registry>();
  runner::RunnerMetrics metrics(*registry, options_.lane);
  const std::string report_subject = WorkerReportSubject(options_.lane, options_.worker);
  const auto report = [&](const WorkerReport& said) {
    // Best effort: the next one is at most five seconds away.
    if ((*connection)->Connected()) {
      static_cast<void>((*connection)->Publish(report_subject, nats::WriteWorkerReport(said)));
    }
  };
  runner::Runner runner(RunnerOptionsOf(options_, board_.get()), handlers_, **source,
                        records ? &*records : nullptr, metrics, report);
  const auto control = ObeyControl(**connection, options_, runner);
  if (!control) return Refuse(control.error());
  auto telemetry = ServeTelemetry(options_, runner, registry);
  if (!telemetry) return Refuse(telemetry.error());

  log::Info("worker", "started",
            {{"lane", ToString(options_.lane)},
             {"worker", options_.worker},
             {"slots", options_.slots},
             {"timeout", FormatDuration(options_.timeout)}});
  runner.Start();
  return RunUntilDrained(runner, **connection);
}

int Worker::RunUntilDrained(runner::Runner& runner, nats::Connection& connection) {
  std::optional<int> signal;
  while (!signal && !runner.Ended()) signal = signals_.WaitFor(kEndPoll);
  if (signal) {
    log::Info("worker", "draining",
              {{"signal", *signal}, {"grace", FormatDuration(options_.grace)}});
  }
  runner.BeginStop();
  while (!runner.Stopped()) {
    if (const std::optional<int> second = signals_.WaitFor(kSignalPoll)) {
      log::Warning("worker", "stopped_at_once", {{"signal", *second}});
      std::_Exit(128 + *second);
    }
    if (!runner.TimeToGiveUp() || runner.Stopped()) continue;
    const int left = runner.Abandon();
    log::Error("worker", "stopped_under_running_jobs", {{"jobs", left}});
    static_cast<void>(connection.Flush(kFlushTimeout));
    std::_Exit(1);
  }
  static_cast<void>(connection.Flush(kFlushTimeout));
  log::Info("worker", "stopped");
  return 0;
}

}  // namespace lanekeeper
