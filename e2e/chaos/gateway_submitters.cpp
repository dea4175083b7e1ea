#include "e2e/chaos/gateway_submitters.h"

#include <chrono>
#include <stdexcept>
#include <utility>

namespace lanekeeper::e2e {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kTryPause{20};
constexpr milliseconds kTryTimeout{10'000};
// Then a keyed submit stays without an answer, which is a fault.
constexpr std::chrono::seconds kPatience{120};
constexpr int kBulkJobs = 10;
constexpr std::size_t kRecentKeysMax = 64;

}  // namespace

// What one client knows. Its thread writes it; read after Finish.
struct GatewaySubmitters::Told {
  std::mt19937 random;
  GatewayEvidence evidence;
};

GatewaySubmitters::GatewaySubmitters(GatewaySubmitterOptions options)
    : options_(std::move(options)) {
  for (const std::string& url : options_.urls) {
    auto client = Client::Create(
        {.url = url, .timeout = kTryTimeout, .try_timeout = kTryTimeout, .retries = 0});
    if (!client) throw std::runtime_error(client.error().message);
    gateways_.push_back(*std::move(client));
  }
  std::random_device seed;
  for (int number = 0; number < options_.clients; ++number) {
    told_.push_back(std::make_unique<Told>());
    told_.back()->random.seed(seed());
  }
  for (int number = 0; number < options_.clients; ++number) {
    threads_.emplace_back([this, number](const std::stop_token& stop) { Run(number, stop); });
  }
}

GatewaySubmitters::~GatewaySubmitters() { Finish(); }

void GatewaySubmitters::Finish() {
  for (std::jthread& thread : threads_) thread.request_stop();
  for (std::jthread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void GatewaySubmitters::Run(int number, const std::stop_token& stop) {
  Told& told = *told_.at(static_cast<std::size_t>(number));
  for (int n = 0; !stop.stop_requested(); ++n) {
    std::this_thread::sleep_for(options_.pause);
    if (rests_) continue;
    const std::string name = options_.lane + (options_.lane.empty() ? "" : "-") +
                             std::to_string(number) + "." + std::to_string(n);
    switch (told.random() % 8) {
      case 0:
      case 1:
        SubmitPlain(told, "plain-" + name);
        break;
      case 2:
        SubmitBulk(told, "bulk-" + name);
        break;
      case 3:
        SubmitAgain(told);
        break;
      default:
        SubmitKeyed(told, "keyed-" + name);
    }
  }
}

// What the worker writes down as the job's type.
NewJob GatewaySubmitters::JobOf(const std::string& name, bool keyed) const {
  return {.type = name,
          .payload = name,
          .lane = options_.lane,
          .idempotency_key = keyed ? name : std::string()};
}

Client& GatewaySubmitters::AnyClient(std::mt19937& random) const {
  return *gateways_.at(random() % gateways_.size());
}

void GatewaySubmitters::NoteError(const ClientError& error) {
  const std::lock_guard lock(mutex_);
  ++counts_.failed;
  if (error.kind == ErrorKind::kRetryable) return;
  ++counts_.refused;
  counts_.refusal = error.message;
}

bool GatewaySubmitters::Try(Told& told, const std::string& name, bool keyed) {
  const auto job = AnyClient(told.random).Submit(options_.pool, JobOf(name, keyed));
  if (!job) {
    NoteError(job.error());
    return false;
  }
  told.evidence.answers.push_back(
      {.submit = name, .id = job->id, .at = std::chrono::steady_clock::now()});
  const std::lock_guard lock(mutex_);
  ++counts_.answered;
  return true;
}

void GatewaySubmitters::SubmitPlain(Told& told, const std::string& name) {
  told.evidence.plain.insert(name);
  Try(told, name, /*keyed=*/false);
}

void GatewaySubmitters::SubmitKeyed(Told& told, const std::string& name) {
  told.evidence.keyed.insert(name);
  {  // From the first try on, others may send it as well.
    const std::lock_guard lock(mutex_);
    if (recent_keys_.size() < kRecentKeysMax) {
      recent_keys_.push_back(name);
    } else {
      recent_keys_.at(told.random() % kRecentKeysMax) = name;
    }
  }
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (!Try(told, name, /*keyed=*/true) && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(kTryPause);
  }
}

void GatewaySubmitters::SubmitAgain(Told& told) {
  std::string name;
  {
    const std::lock_guard lock(mutex_);
    if (recent_keys_.empty()) return;
    name = recent_keys_.at(told.random() % recent_keys_.size());
  }
  Try(told, name, /*keyed=*/true);
}

void GatewaySubmitters::SubmitBulk(Told& told, const std::string& name) {
  std::vector<std::string> open;
  std::vector<NewJob> jobs;
  for (int line = 0; line < kBulkJobs; ++line) {
    const bool keyed = line % 2 == 0;
    open.push_back(name + "." + std::to_string(line));
    jobs.push_back(JobOf(open.back(), keyed));
    (keyed ? told.evidence.keyed : told.evidence.plain).insert(open.back());
  }
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (!jobs.empty() && std::chrono::steady_clock::now() < until) {
    const auto results = AnyClient(told.random).SubmitMany(options_.pool, jobs);
    std::vector<std::string> open_names;
    std::vector<NewJob> open_jobs;
    for (std::size_t n = 0; n < results.size(); ++n) {
      if (results[n]) {
        told.evidence.answers.push_back(
            {.submit = open[n], .id = results[n]->id, .at = std::chrono::steady_clock::now()});
        const std::lock_guard lock(mutex_);
        ++counts_.answered;
        continue;
      }
      NoteError(results[n].error());
      if (jobs[n].idempotency_key.empty()) continue;
      open_names.push_back(open[n]);
      open_jobs.push_back(jobs[n]);
    }
    open = std::move(open_names);
    jobs = std::move(open_jobs);
    if (!jobs.empty()) std::this_thread::sleep_for(kTryPause);
  }
}

SubmitCounts GatewaySubmitters::Counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

GatewayEvidence GatewaySubmitters::Evidence() const {
  GatewayEvidence all;
  for (const auto& told : told_) {
    const GatewayEvidence& one = told->evidence;
    all.answers.insert(all.answers.end(), one.answers.begin(), one.answers.end());
    all.keyed.insert(one.keyed.begin(), one.keyed.end());
    all.plain.insert(one.plain.begin(), one.plain.end());
  }
  return all;
}

}  // namespace lanekeeper::e2e
