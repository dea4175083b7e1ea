#include "e2e/chaos/jobs.h"

#include <chrono>
#include <iomanip>
#include <memory>
#include <random>
#include <sstream>
#include <utility>

#include "worker-runtime/nats/connection.h"
#include "worker-runtime/nats/jetstream.h"

namespace lanekeeper::e2e {
namespace {

constexpr std::chrono::milliseconds kTryPause{50};
constexpr std::chrono::seconds kAnswerDeadline{2};

std::string Numbered(const std::string& type, int number) {
  std::ostringstream id;
  id << type << '-' << std::setw(5) << std::setfill('0') << number;
  return id.str();
}

std::string TypeOf(const std::string& id) { return id.substr(0, id.rfind('-')); }

}  // namespace

std::vector<PlannedJob> PlanJobs(const Mix& mix) {
  std::mt19937 random(1);
  std::uniform_int_distribution<int> sleep_ms(1, mix.sleep_ms_max);
  const int crash_every = mix.crashing > 0 ? mix.jobs / mix.crashing : 0;
  std::vector<PlannedJob> jobs;
  for (int n = 0; n < mix.jobs; ++n) {
    std::string type = "sleep";
    std::string payload = std::to_string(sleep_ms(random));
    if (crash_every > 0 && n % crash_every == crash_every / 2) {
      type = "crash";
    } else if (n % 25 == 3) {
      type = "fail";
    } else if (n % 25 == 11) {
      type = "poison";
    } else if (n % 8 == 5) {
      type = "flaky";
      payload = n % 16 == 5 ? "2" : "3";
    }
    jobs.push_back({Numbered(type, n), type, payload});
  }
  return jobs;
}

bool MustDie(const std::string& id) {
  const std::string type = TypeOf(id);
  return type == "fail" || type == "poison" || type == "crash" || type == "stubborn";
}

Publisher::Publisher(const std::string& url, const LaneKey& lane, std::vector<PlannedJob> jobs)
    : thread_([this, url, lane, jobs = std::move(jobs)](const std::stop_token& stop) {
        Run(stop, url, lane, jobs);
      }) {}

void Publisher::Stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void Publisher::Run(const std::stop_token& stop, const std::string& url, const LaneKey& lane,
                    const std::vector<PlannedJob>& jobs) {
  auto connection = nats::Connection::Open({.url = url, .name = "chaos-publisher"});
  if (!connection) return;
  const nats::JetStream jetstream(**connection, kAnswerDeadline);
  for (const PlannedJob& job : jobs) {
    const nats::Headers headers{{std::string(kHeaderMessageId), job.id},
                                {std::string(kHeaderType), job.type}};
    while (!jetstream.PublishAck(JobSubject(lane), job.payload, headers)) {
      ++refused_;
      if (stop.stop_requested()) return;
      std::this_thread::sleep_for(kTryPause);
    }
    accepted_.push_back(job.id);
  }
  finished_ = true;
}

}  // namespace lanekeeper::e2e
