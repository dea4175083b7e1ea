#include "worker-runtime/runner/testing/lane_fixture.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "worker-runtime/nats/job_record_json.h"
#include "worker-runtime/nats/queue_setup.h"
#include "worker-runtime/nats/testing/nats_test.h"

namespace lanekeeper::runner {
namespace {

constexpr std::chrono::seconds kPatience{120};
constexpr std::chrono::milliseconds kPoll{20};

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& text : strings) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

bool Eventually(const std::function<bool()>& holds) {
  const auto until = std::chrono::steady_clock::now() + kPatience;
  while (std::chrono::steady_clock::now() < until) {
    if (holds()) return true;
    std::this_thread::sleep_for(kPoll);
  }
  return false;
}

File::File() : name_(testing::TempDir() + "lanekeeper-file." + std::to_string(getpid())) {
  std::filesystem::remove(name_);
}

File::~File() { std::filesystem::remove(name_); }

void File::Make() const { std::ofstream(name_) << "x"; }

Process::Process(std::vector<std::string> arguments, const Environment& environment) {
  const auto folder = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  const std::string program = folder / arguments.at(0);
  std::vector<std::string> variables;
  for (const auto& [name, value] : environment) variables.push_back(name + "=" + value);
  const std::vector<char*> argv = Pointers(arguments);
  const std::vector<char*> envp = Pointers(variables);
  pid_ = fork();
  if (pid_ != 0) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const rlimit no_core{0, 0};  // Workers that crash on purpose leave nothing behind.
  setrlimit(RLIMIT_CORE, &no_core);
  dup2(STDERR_FILENO, STDOUT_FILENO);
  execve(program.c_str(), argv.data(), envp.data());
  _exit(127);
}

Process::~Process() {
  if (Ended()) return;
  Signal(SIGKILL);
  Wait();
}

void Process::Signal(int signal) const {
  if (!code_) kill(pid_, signal);
}

bool Process::Ended() {
  int status = 0;
  if (!code_ && waitpid(pid_, &status, WNOHANG) == pid_) {
    code_ = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
  }
  return code_.has_value();
}

int Process::Wait() {
  return Eventually([this] { return Ended(); }) ? *code_ : -1;
}

LaneFixture::LaneFixture(std::string server_config) : server_config_(std::move(server_config)) {
  std::signal(SIGPIPE, SIG_IGN);
}

void LaneFixture::SetUp() {
  auto server = nats::NatsServer::Run({.config = server_config_});
  ASSERT_TRUE(server) << server.error().message;
  server_ = *std::move(server);
  auto connection = nats::Connection::Open({.url = server_->url(), .name = "test"});
  ASSERT_TRUE(connection) << connection.error().message;
  connection_ = *std::move(connection);
  ASSERT_TRUE(connection_->WaitConnected(kPatience));
  jetstream_.emplace(*connection_, nats::kAnswerDeadline);
}

void LaneFixture::MakeLane(std::chrono::milliseconds ack_wait) {
  const auto queue = nats::EnsureJobQueue(*jetstream_, key_, {.ack_wait = ack_wait});
  ASSERT_TRUE(queue) << queue.error().message;
  MakeDeadLetters();
  const auto results =
      jetstream_->CreateStream("RESULTS", R"({"name":"RESULTS","subjects":["results"]})");
  ASSERT_TRUE(results) << results.error().error.message;
}

void LaneFixture::MakeDeadLetters() {
  const auto dead = nats::EnsureDeadLetters(*jetstream_, key_.pool_namespace, key_.pool, {});
  ASSERT_TRUE(dead) << dead.error().message;
}

void LaneFixture::Publish(const std::string& payload, const nats::Headers& headers) {
  const auto stored = jetstream_->PublishAck(JobSubject(key_), payload, headers);
  ASSERT_TRUE(stored) << stored.error().error.message;
}

void LaneFixture::Publish(const std::string& id, const std::string& type,
                          const std::string& payload) {
  Publish(payload, {{std::string(kHeaderMessageId), id}, {std::string(kHeaderType), type}});
}

Environment LaneFixture::WorkerEnvironment(const std::string& worker,
                                           const Environment& changes) const {
  Environment environment{{"PATH", "/usr/bin:/bin"},
                          {kEnvNatsUrl, server_->url()},
                          {kEnvNamespace, key_.pool_namespace},
                          {kEnvPool, key_.pool},
                          {kEnvLane, key_.lane},
                          {kEnvWorker, worker},
                          {kEnvSlots, "4"},
                          {kEnvBackoffInitial, "10ms"},
                          {kEnvBackoffMax, "50ms"},
                          {kEnvHttpPort, "0"},
                          {"EXAMPLE_RESULTS_SUBJECT", "results"}};
  for (const auto& [name, value] : changes) environment[name] = value;
  return environment;
}

std::unique_ptr<Process> LaneFixture::StartExampleWorker(const std::string& worker,
                                                         const Environment& changes) {
  return std::make_unique<Process>(std::vector<std::string>{"lanekeeper-example-worker"},
                                   WorkerEnvironment(worker, changes));
}

std::vector<LaneFixture::Run> LaneFixture::Runs() {
  std::vector<Run> runs;
  const auto state = Answered([this] { return jetstream_->StreamInfo("RESULTS"); });
  if (!state) return runs;
  for (std::uint64_t n = 1; n <= state->last_sequence; ++n) {
    const auto message = Answered([&] { return jetstream_->GetMessage("RESULTS", n); });
    if (!message) continue;
    const auto json = nlohmann::json::parse(message->payload);
    runs.push_back({json["id"], json["worker"], json["delivery"]});
  }
  return runs;
}

std::vector<nats::StoredMessage> LaneFixture::DeadLetters() {
  std::vector<nats::StoredMessage> letters;
  const std::string stream = DeadStreamName(key_.pool_namespace, key_.pool);
  const auto state = Answered([&] { return jetstream_->StreamInfo(stream); });
  if (!state) return letters;
  for (std::uint64_t n = 1; n <= state->last_sequence; ++n) {
    auto message = Answered([&] { return jetstream_->GetMessage(stream, n); });
    if (message) letters.push_back(*std::move(message));
  }
  return letters;
}

std::int64_t LaneFixture::JobsLeft() {
  const auto state = Answered([this] { return jetstream_->StreamInfo(JobStreamName(key_)); });
  return state ? state->messages : -1;
}

std::int64_t LaneFixture::JobsRunning() {
  const auto state =
      Answered([this] { return jetstream_->ConsumerInfo(JobStreamName(key_), kConsumerName); });
  return state ? state->ack_pending : -1;
}

std::optional<JobRecord> LaneFixture::RecordIn(const LaneKey& lane, const std::string& id) {
  const auto stored =
      Answered([&] { return jetstream_->LastMessage(kRecordStream, RecordSubject(lane, id)); });
  if (!stored) return std::nullopt;
  const auto record = nats::ReadJobRecord(stored->payload);
  EXPECT_TRUE(record) << stored->payload;
  return record ? std::optional(*record) : std::nullopt;
}

bool LaneFixture::WaitRunning(const std::string& id, int run) {
  return Eventually([&] {
    const auto record = Record(id);
    return record && record->state == JobState::kRunning && record->runs == run;
  });
}

}  // namespace lanekeeper::runner
