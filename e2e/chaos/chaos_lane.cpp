#include "e2e/chaos/chaos_lane.h"

#include <sys/wait.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <limits>
#include <set>
#include <stdexcept>
#include <thread>
#include <utility>

#include "e2e/chaos/verify_lane.h"
#include "worker-runtime/job/job.h"
#include "worker-runtime/nats/queue_setup.h"

namespace lanekeeper::e2e {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::chrono::seconds kPatience{120};
constexpr milliseconds kLook{20};
constexpr const char* kResultsStream = "RESULTS";
constexpr const char* kResultsSubject = "results";
constexpr int kSlots = 4;

// Asks until it is answered, or with an error that asking again does not mend.
template <typename Question, typename MayBeMended>
auto AskAgain(const Question& question, const MayBeMended& may_be_mended) {
  const auto until = steady_clock::now() + kPatience;
  while (true) {
    auto answer = question();
    if (answer || !may_be_mended(answer.error()) || steady_clock::now() >= until) return answer;
    std::this_thread::sleep_for(kLook);
  }
}

// What a server answers, or why not. One that stands still for a moment is asked again.
template <typename Question>
auto Ask(const Question& question) {
  return AskAgain(question, [](const nats::ApiError& error) {
    return error.cause == nats::ApiCause::kNoAnswer;
  });
}

template <typename Making>
void MustHold(const Making& make) {
  const Result<void> made =
      AskAgain(make, [](const Error& error) { return error.kind == ErrorKind::kRetryable; });
  if (!made) throw std::runtime_error(made.error().message);
}

std::unique_ptr<nats::Connection> Connect(const std::string& url) {
  auto connection = nats::Connection::Open({.url = url, .name = "chaos"});
  if (!connection) throw std::runtime_error(connection.error().message);
  if (!(*connection)->WaitConnected(kPatience)) throw std::runtime_error("no connection to " + url);
  return *std::move(connection);
}

// Leaves the status for Child to collect.
bool HasEnded(const Child& process) {
  siginfo_t state{};
  const auto id = static_cast<id_t>(process.pid());
  return waitid(P_PID, id, &state, WEXITED | WNOHANG | WNOWAIT) != 0 || state.si_pid != 0;
}

// The child of `supervisor`; itself while it has none.
pid_t ProcessOfJobs(pid_t supervisor) {
  const std::string pid = std::to_string(supervisor);
  std::ifstream children("/proc/" + pid + "/task/" + pid + "/children");
  pid_t child = 0;
  return children >> child ? child : supervisor;
}

}  // namespace

void ChaosWorker::Signal(int signal) const {
  const pid_t jobs = ProcessOfJobs(process.pid());
  process.Signal(signal);
  if (jobs != process.pid()) kill(jobs, signal);
}

void ChaosWorker::KillJobs() const { kill(ProcessOfJobs(process.pid()), SIGKILL); }

ChaosLane::ChaosLane(ChaosLaneOptions options)
    : options_(std::move(options)),
      connection_(Connect(options_.url)),
      jetstream_(*connection_, std::chrono::seconds(2)) {
  std::filesystem::create_directories(options_.folder);
  MakeStreams();
}

ChaosLane::~ChaosLane() = default;

void ChaosLane::MakeQueue() {
  MustHold([this] {
    return nats::EnsureJobQueue(
        jetstream_, key_,
        {.depth_max = 1'000'000, .replicas = options_.replicas, .ack_wait = options_.ack_wait});
  });
}

void ChaosLane::MakeStreams() {
  const int replicas = options_.replicas;
  MakeQueue();
  MustHold([&] {
    return nats::EnsureDeadLetters(jetstream_, key_.pool_namespace, key_.pool,
                                   {.replicas = replicas});
  });
  MustHold([&] { return nats::EnsureBucket(jetstream_, kRecordBucket, {.replicas = replicas}); });
  const json results = {
      {"name", kResultsStream}, {"subjects", {kResultsSubject}}, {"num_replicas", replicas}};
  // The same stream again is no error.
  const auto made = Ask([&] { return jetstream_.CreateStream(kResultsStream, results.dump()); });
  if (!made) throw std::runtime_error(made.error().error.message);
}

ChaosWorker& ChaosLane::StartWorker(const Environment& changes) {
  const std::string name = "w" + std::to_string(++workers_started_);
  Environment environment{{kEnvNatsUrl, options_.url},
                          {kEnvNamespace, key_.pool_namespace},
                          {kEnvPool, key_.pool},
                          {kEnvLane, key_.lane},
                          {kEnvWorker, name},
                          {kEnvSlots, std::to_string(kSlots)},
                          {kEnvAttempts, "3"},
                          {kEnvBackoffInitial, "20ms"},
                          {kEnvBackoffMax, "100ms"},
                          {kEnvHttpPort, "0"},
                          {"EXAMPLE_RESULTS_SUBJECT", kResultsSubject}};
  for (const auto& [variable, value] : options_.worker) environment[variable] = value;
  for (const auto& [variable, value] : changes) environment[variable] = value;
  const std::filesystem::path log = options_.folder / (name + ".log");
  workers_.push_back(
      {name, log, Child({ProgramBesideThis("lanekeeper-example-worker")}, environment, log)});
  return workers_.back();
}

ChaosWorker& ChaosLane::RandomWorker() {
  std::uniform_int_distribution<std::size_t> index(0, workers_.size() - 1);
  return *std::next(workers_.begin(), static_cast<std::ptrdiff_t>(index(random_)));
}

void ChaosLane::Remove(const ChaosWorker& worker) {
  worker.Signal(SIGKILL);
  workers_.remove_if([&worker](const ChaosWorker& other) { return &other == &worker; });
}

void ChaosLane::KeepWorkers(int count) {
  workers_.remove_if([](const ChaosWorker& worker) { return HasEnded(worker.process); });
  while (workers_.size() < static_cast<std::size_t>(count)) StartWorker();
}

void ChaosLane::RemakeConsumer() {
  if (!connection_->WaitConnected(kPatience)) throw std::runtime_error("the server is gone");
  const auto removed = jetstream_.DeleteConsumer(JobStreamName(key_), kConsumerName);
  if (!removed) throw std::runtime_error(removed.error().error.message);
  MakeQueue();
}

std::int64_t ChaosLane::Left() const {
  const auto state = jetstream_.StreamInfo(JobStreamName(key_));
  return state ? state->messages : -1;
}

std::int64_t ChaosLane::Waiting() const {
  const auto state = jetstream_.ConsumerInfo(JobStreamName(key_), kConsumerName);
  return state ? state->pending : -1;
}

std::int64_t ChaosLane::Running() const {
  const auto state = jetstream_.ConsumerInfo(JobStreamName(key_), kConsumerName);
  return state ? state->ack_pending : -1;
}

std::int64_t ChaosLane::Results() const {
  const auto state = jetstream_.StreamInfo(kResultsStream);
  return state ? state->messages : -1;
}

json ChaosLane::Result(std::uint64_t number) const {
  const auto message = Ask([&] { return jetstream_.GetMessage(kResultsStream, number); });
  return message ? json::parse(message->payload, nullptr, /*allow_exceptions=*/false) : json();
}

json ChaosLane::RecordOf(const std::string& id) const {
  const auto message =
      Ask([&] { return jetstream_.LastMessage(kRecordStream, RecordSubject(key_, id)); });
  return message ? json::parse(message->payload, nullptr, /*allow_exceptions=*/false) : json();
}

bool ChaosLane::Drive(const Publisher& publisher, int workers, milliseconds every,
                      const std::function<void()>& disturb) {
  auto disturb_at = steady_clock::now() + every;
  auto say_at = steady_clock::now();
  auto give_up_at = steady_clock::now() + kPatience;
  std::int64_t least_left = std::numeric_limits<std::int64_t>::max();
  std::int64_t said = -2;
  while (true) {
    KeepWorkers(workers);
    const bool published = publisher.Finished();
    const std::int64_t left = Left();
    const auto now = steady_clock::now();
    if (published && left == 0) return true;
    if (left >= 0 && left < least_left) {
      least_left = left;
      give_up_at = now + kPatience;
    }
    if (now >= give_up_at) return false;
    if (now >= say_at && left != said) {
      Say((left < 0 ? std::string("?") : std::to_string(left)) + " jobs left");
      say_at = now + std::chrono::seconds(1);
      said = left;
    }
    if (now >= disturb_at && (!published || Waiting() != 0)) {
      disturb();
      disturb_at = steady_clock::now() + every;
    }
    std::this_thread::sleep_for(kLook);
  }
}

void ChaosLane::Await(const std::string& what, const std::function<bool()>& holds) const {
  const auto until = steady_clock::now() + kPatience;
  while (!holds()) {
    if (steady_clock::now() >= until) throw std::runtime_error("waited in vain until " + what);
    std::this_thread::sleep_for(kLook);
  }
}

void ChaosLane::Say(const std::string& text) const {
  const std::chrono::duration<double> since = steady_clock::now() - started_;
  std::printf("[%6.1f s] %s: %s\n", since.count(), options_.scenario.c_str(), text.c_str());
  std::fflush(stdout);
}

int ChaosLane::WrongFates(const std::vector<std::string>& accepted) const {
  const std::string stream = DeadStreamName(key_.pool_namespace, key_.pool);
  const auto state = Ask([&] { return jetstream_.StreamInfo(stream); });
  if (!state) throw std::runtime_error(state.error().error.message);
  std::set<std::string> dead;
  for (std::uint64_t sequence = 1; sequence <= state->last_sequence; ++sequence) {
    const auto letter = Ask([&] { return jetstream_.GetMessage(stream, sequence); });
    if (!letter) throw std::runtime_error(letter.error().error.message);
    const auto id = FindHeader(letter->headers, kHeaderDeadJobId);
    if (id) dead.emplace(*id);
  }
  int wrong = 0;
  for (const std::string& id : accepted) {
    if (dead.contains(id) == MustDie(id)) continue;
    if (++wrong <= 3) Say(id + (MustDie(id) ? " should be a dead letter" : " is a dead letter"));
  }
  return wrong;
}

std::vector<Bar> ChaosLane::Judge(const std::vector<std::string>& accepted,
                                  const std::string& faults, int fault_count) {
  const ordered_json verdict =
      VerifyLane(options_.url, key_, kResultsStream, accepted, options_.folder);
  Say(verdict.dump());
  const std::string log = (options_.folder / "verify.log").string();
  const auto bar = [&](const std::string& name, double value, std::optional<double> limit,
                       const std::string& how) {
    return Bar{.name = options_.scenario + ": " + name,
               .value = value,
               .unit = "jobs",
               .bar = limit,
               .how = how};
  };
  const auto number = [&verdict](const char* field) { return verdict.value(field, -1.0); };
  return {
      Bar{.name = options_.scenario + ": faults",
          .value = static_cast<double>(fault_count),
          .unit = "times",
          .bar = 1.0,
          .how = faults,
          .limit = Limit::kAtLeast},
      bar("lost", number("lost"), 0.0, std::to_string(accepted.size()) + " accepted; see " + log),
      bar("left in the lane", number("queued"), 0.0, "after the lane had run empty"),
      bar("dead or alive against expectation", WrongFates(accepted), 0.0,
          "dead letters are exactly the jobs that fail, are poison or crash their worker"),
      bar("stale results", number("stale"), 0.0, "records with the result of a run that lost"),
      bar("contradictory records", number("contradictory"), 0.0,
          "the record says something else than the queue"),
      bar("ran to the end twice without a reason", number("unexplained"), 0.0,
          "no crash, failure or interruption in the record"),
      bar("ran to the end twice", number("duplicates"), std::nullopt, "at least once, explained"),
  };
}

}  // namespace lanekeeper::e2e
