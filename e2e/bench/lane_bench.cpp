#include "e2e/bench/lane_bench.h"

#include <condition_variable>
#include <csignal>
#include <mutex>
#include <thread>
#include <utility>

#include "worker-runtime/base/log.h"
#include "worker-runtime/nats/queue_setup.h"

namespace lanekeeper::e2e {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr seconds kPatience{60};
constexpr int kInFlightMax = 4096;
constexpr int kDepthMax = 2'000'000;
constexpr milliseconds kLookOften{2};
constexpr milliseconds kLookSeldom{20};

// Publishes that JetStream has not acknowledged yet.
class InFlight {
 public:
  void Add() {
    std::unique_lock lock(mutex_);
    Expect(lock, [this] { return count_ < kInFlightMax; });
    ++count_;
  }
  void Acknowledged(const nats::Message& answer) {
    const std::lock_guard lock(mutex_);
    --count_;
    if (const auto error = nats::ErrorOfAnswer(answer)) refused_ = error->error.message;
    changed_.notify_one();
  }
  void WaitForAll() {
    std::unique_lock lock(mutex_);
    Expect(lock, [this] { return count_ == 0; });
  }

 private:
  template <typename Condition>
  void Expect(std::unique_lock<std::mutex>& lock, Condition condition) {
    if (!changed_.wait_for(lock, kPatience, condition)) refused_ = "no acknowledgement";
    if (!refused_.empty()) throw std::runtime_error("publishing jobs: " + refused_);
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  int count_ = 0;
  std::string refused_;
};

}  // namespace

void WaitFor(const std::string& what, const std::function<bool()>& holds, seconds deadline) {
  const auto until = std::chrono::steady_clock::now() + deadline;
  while (!holds()) {
    if (std::chrono::steady_clock::now() > until) throw std::runtime_error("waiting for " + what);
    std::this_thread::sleep_for(kLookOften);
  }
}

RunReports::RunReports(nats::Connection& connection, std::string subject)
    : subscription_(Must(connection.Subscribe(subject), "subscribing to run reports")) {
  Must(connection.Flush(kPatience), "subscribing to run reports");
}

RunReport RunReports::Next() {
  const auto message = subscription_->Next(kPatience);
  if (!message) throw std::runtime_error("waiting for a handler's report: none came");
  return ReadRunReport(message->payload);
}

LaneBench::LaneBench(nats::NatsServerOptions options)
    : server_(Must(nats::NatsServer::Run(std::move(options)), "starting a nats-server")) {
  std::signal(SIGPIPE, SIG_IGN);
  log::SetLevel("error");
  connection_ =
      Must(nats::Connection::Open({.url = server_.url(), .name = "benchmark"}), "connecting");
  jetstream_.emplace(*connection_, kPatience);
}

LaneKey LaneBench::MakeLane(const std::string& name, milliseconds ack_wait) {
  const LaneKey lane{"bench", "jobs", name};
  Must(nats::EnsureJobQueue(*jetstream_, lane, {.depth_max = kDepthMax, .ack_wait = ack_wait}),
       "making lane " + name);
  Must(nats::EnsureDeadLetters(*jetstream_, lane.pool_namespace, lane.pool, {}),
       "making dead letters");
  Must(nats::EnsureBucket(*jetstream_, kRecordBucket, {}), "making the store of records");
  return lane;
}

void LaneBench::Publish(const LaneKey& lane, const std::string& type, int jobs) {
  InFlight in_flight;
  const std::string inbox = connection_->NewInbox();
  const auto answers =
      Must(connection_->SubscribeCallback(
               inbox, [&](const nats::Message& answer) { in_flight.Acknowledged(answer); }),
           "subscribing to acknowledgements");
  const std::string subject = JobSubject(lane);
  for (int n = 0; n < jobs; ++n) {
    in_flight.Add();
    Must(connection_->PublishRequest(
             subject, inbox, StampedPayload(kPayloadBytes),
             {{std::string(kHeaderMessageId), "job-" + std::to_string(next_job_++)},
              {std::string(kHeaderType), type}}),
         "publishing jobs");
  }
  in_flight.WaitForAll();
}

void LaneBench::PublishOne(const LaneKey& lane, const std::string& type) {
  Must(connection_->Publish(JobSubject(lane), StampedPayload(kPayloadBytes),
                            {{std::string(kHeaderMessageId), "job-" + std::to_string(next_job_++)},
                             {std::string(kHeaderType), type}}),
       "publishing a job");
}

nats::ConsumerState LaneBench::Look(const LaneKey& lane) {
  return Must(jetstream_->ConsumerInfo(JobStreamName(lane), kConsumerName), "reading the consumer");
}

void LaneBench::WaitForPulls(const LaneKey& lane, int pulls) {
  WaitFor("open pulls", [&] { return Look(lane).waiting_pulls >= pulls; });
}

void LaneBench::WaitDrained(const LaneKey& lane, std::int64_t left) {
  constexpr std::int64_t kNearTheEnd = 5000;
  const auto until = std::chrono::steady_clock::now() + seconds(300);
  for (;;) {
    const nats::ConsumerState state = Look(lane);
    const std::int64_t unsettled = state.pending + state.ack_pending;
    if (unsettled <= left) return;
    if (std::chrono::steady_clock::now() > until) {
      throw std::runtime_error("waiting for a drained lane: " + std::to_string(unsettled) +
                               " jobs are left");
    }
    std::this_thread::sleep_for(unsettled - left > kNearTheEnd ? kLookSeldom : kLookOften);
  }
}

Environment LaneBench::WorkerEnvironment(const LaneKey& lane, const std::string& worker,
                                         const Environment& changes) const {
  Environment environment{{kEnvNatsUrl, server_.url()}, {kEnvNamespace, lane.pool_namespace},
                          {kEnvPool, lane.pool},        {kEnvLane, lane.lane},
                          {kEnvWorker, worker},         {kEnvHttpPort, "0"},
                          {kEnvLogLevel, "error"}};
  for (const auto& [name, value] : changes) environment[name] = value;
  return environment;
}

Child LaneBench::StartWorker(const LaneKey& lane, const std::string& worker,
                             const Environment& changes) const {
  return Child({ProgramBesideThis("lanekeeper-bench-worker")},
               WorkerEnvironment(lane, worker, changes));
}

double LaneBench::MeasureDrain(const LaneKey& lane, int jobs, const std::function<void()>& start) {
  const nats::ConsumerState before = Look(lane);  // With parked ones, which stay.
  Publish(lane, "noop", jobs);
  start();
  nats::ConsumerState first;
  WaitFor("the first delivery", [&] {
    first = Look(lane);
    return first.delivered_consumer_sequence > before.delivered_consumer_sequence;
  });
  const auto began = std::chrono::steady_clock::now();
  WaitDrained(lane, before.ack_pending);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  return static_cast<double>(first.pending + first.ack_pending - before.ack_pending) / took.count();
}

double LaneBench::MeasureWorkerDrain(const LaneKey& lane, int jobs, const Environment& changes) {
  std::optional<Child> worker;
  const double rate =
      MeasureDrain(lane, jobs, [&] { worker = StartWorker(lane, "drainer", changes); });
  worker->Signal(SIGTERM);
  worker->Wait();
  return rate;
}

}  // namespace lanekeeper::e2e
