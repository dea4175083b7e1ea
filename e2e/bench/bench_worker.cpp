// The worker the benchmarks measure: a plain user of the C++ API, configured by its environment
// like any worker. Its handlers are described in run_report.h.
#include <pthread.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <thread>

#include "e2e/bench/run_report.h"
#include "worker-runtime/nats/connection.h"
#include "worker-runtime/runner/worker.h"

namespace lanekeeper::e2e {
namespace {

// Any thread. Silent without a connection.
class Reporter {
 public:
  Reporter(std::string worker, const std::string& nats_url) : worker_(std::move(worker)) {
    const char* subject = std::getenv(kEnvRunReports);
    if (subject == nullptr) return;
    subject_ = subject;
    if (auto connection = nats::Connection::Open({.url = nats_url, .name = "run reports"})) {
      connection_ = *std::move(connection);
    }
  }

  void Report(const Job& job, bool stopping) {
    const std::int64_t now = NowNs();
    if (!connection_) return;
    static_cast<void>(
        connection_->Publish(subject_, WriteRunReport({.worker = worker_,
                                                       .slot = pthread_self(),
                                                       .job = job.id(),
                                                       .stopping = stopping,
                                                       .at_ns = now,
                                                       .published_ns = StampOf(job.payload())})));
  }

 private:
  const std::string worker_;
  std::string subject_;
  std::unique_ptr<nats::Connection> connection_;
};

int Run() {
  const auto options = ReadWorkerOptions();
  if (!options) return std::fprintf(stderr, "%s\n", options.error().message.c_str()), 2;
  Worker worker(*options);
  Reporter reporter(options->worker, options->nats_url);
  worker.HandleAny([](Job&) -> Outcome { return Done{}; });
  worker.Handle(kJobStamp, [&](Job& job) -> Outcome {
    reporter.Report(job, /*stopping=*/false);
    return Done{};
  });
  worker.Handle(kJobNap, [&](Job& job) -> Outcome {
    reporter.Report(job, /*stopping=*/false);
    std::this_thread::sleep_for(kNap);
    return Done{};
  });
  worker.Handle(kJobFail, [](Job&) -> Outcome { return Failed{"failing on purpose"}; });
  worker.Handle(kJobHold, [&](Job& job) -> Outcome {
    reporter.Report(job, /*stopping=*/false);
    while (!job.StopRequested()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    reporter.Report(job, /*stopping=*/true);
    return Interrupted{};
  });
  return worker.Run();
}

}  // namespace
}  // namespace lanekeeper::e2e

int main() { return lanekeeper::e2e::Run(); }
