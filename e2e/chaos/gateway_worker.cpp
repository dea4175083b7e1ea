// lanekeeper-chaos-gateway-worker: takes jobs of any type at once, and writes down whose they were:
// the type of a job names the submit that it came from. Configured by its environment like any
// worker; the runs go to the stream of RESULTS_SUBJECT, each after WORK_TIME (none).
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "worker-runtime/base/clock.h"
#include "worker-runtime/base/settings.h"
#include "worker-runtime/nats/connection.h"
#include "worker-runtime/nats/jetstream.h"
#include "worker-runtime/runner/worker.h"

namespace lanekeeper::e2e {
namespace {

constexpr std::chrono::milliseconds kPause{50};
constexpr std::chrono::seconds kAnswerDeadline{2};

// False: it was told to stop.
bool Work(const Job& job, std::chrono::milliseconds time) {
  const auto until = std::chrono::steady_clock::now() + time;
  while (std::chrono::steady_clock::now() < until) {
    if (job.StopRequested()) return false;
    std::this_thread::sleep_for(kPause);
  }
  return true;
}

// Before the job counts as done: a job that is done always has its run written down. Twice when the
// confirmation was lost; both have the same start.
Outcome WriteDown(const nats::JetStream& jetstream, const std::string& subject,
                  const std::string& worker, const Job& job) {
  const std::string run = nlohmann::json{{"id", job.id()},
                                         {"type", job.type()},
                                         {"worker", worker},
                                         {"run", job.run()},
                                         {"started", FormatRfc3339Micros(SystemClock().WallNow())}}
                              .dump();
  while (!jetstream.PublishAck(subject, run)) {
    if (job.StopRequested()) return Interrupted{};
    std::this_thread::sleep_for(kPause);
  }
  return Done{nlohmann::json{{"worker", worker}, {"run", job.run()}}.dump()};
}

int Run() {
  const auto options = ReadWorkerOptions();
  Settings settings;
  const auto work =
      settings.Duration("WORK_TIME", std::chrono::milliseconds(0), std::chrono::milliseconds(0),
                        std::chrono::milliseconds(60'000));
  const Result<void> checked = settings.Check();
  if (!checked) {
    std::fprintf(stderr, "%s\n", checked.error().message.c_str());
    return 2;
  }
  const char* subject = std::getenv("RESULTS_SUBJECT");
  if (!options || subject == nullptr) {
    std::fprintf(stderr, "%s\n",
                 options ? "RESULTS_SUBJECT is not set" : options.error().message.c_str());
    return 2;
  }
  Worker worker(*options);
  auto connection = nats::Connection::Open({.url = options->nats_url, .name = "chaos-results"});
  if (!connection) {
    std::fprintf(stderr, "%s\n", connection.error().message.c_str());
    return 2;
  }
  const nats::JetStream jetstream(**connection, kAnswerDeadline);
  worker.HandleAny([&](Job& job) -> Outcome {
    if (!Work(job, work)) return Interrupted{};
    return WriteDown(jetstream, subject, options->worker, job);
  });
  return worker.Run();
}

}  // namespace
}  // namespace lanekeeper::e2e

int main() { return lanekeeper::e2e::Run(); }
