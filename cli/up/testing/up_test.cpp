#include "cli/up/testing/up_test.h"

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <thread>

#include "operator/local/state_folder.h"
#include "worker-runtime/job/job_record.h"
#include "worker-runtime/nats/job_record_json.h"
#include "worker-runtime/nats/testing/nats_test.h"

namespace lanekeeper::up {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr const char* kResults = "UP_RESULTS";

bool HoldsInTime(const std::function<bool()>& holds) {
  const auto deadline = std::chrono::steady_clock::now() + kUpDeadline;
  while (!holds()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

// "S 17 …", from the state on; empty when there is no such process.
std::string StatOf(pid_t pid) {
  const std::string stat = ReadWholeFile("/proc/" + std::to_string(pid) + "/stat").value_or("");
  const std::size_t end = stat.rfind(')');
  return end == std::string::npos || end + 2 > stat.size() ? "" : stat.substr(end + 2);
}

pid_t ParentOf(pid_t pid) {
  const std::string stat = StatOf(pid);
  return stat.size() < 2 ? 0 : std::atoi(stat.c_str() + 2);
}

std::string CommandLineOf(pid_t pid) {
  std::string command = ReadWholeFile("/proc/" + std::to_string(pid) + "/cmdline").value_or("");
  std::ranges::replace(command, '\0', ' ');
  return command;
}

}  // namespace

Lanekeeper::Lanekeeper(const std::vector<std::string>& arguments) {
  const auto folder = fs::read_symlink("/proc/self/exe").parent_path();
  std::vector<std::string> words{"lanekeeper"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  auto started = handlers::Process::Start({.program = folder / "lanekeeper",
                                           .arguments = words,
                                           .environment = handlers::OwnEnvironment()},
                                          {});
  EXPECT_TRUE(started) << started.error().message;
  if (started) process_.emplace(*std::move(started));
}

const std::string& Lanekeeper::said() {
  handlers::ReadBuffer buffer;
  while (process_) {
    const std::string_view bytes = handlers::ReadSome(process_->output, buffer);
    if (bytes.empty()) break;
    said_ += bytes;
  }
  return said_;
}

std::optional<handlers::ExitStatus> Lanekeeper::Wait() {
  const bool ended = HoldsInTime([&] {
    said();
    return process_->Exited();
  });
  if (!ended) return std::nullopt;
  said();
  const handlers::ExitStatus status = process_->Reap();
  process_.reset();
  return status;
}

void UpTest::SetUp() {
  folder_ = fs::temp_directory_path() / "lanekeeper-up-XXXXXX";
  ASSERT_NE(mkdtemp(folder_.data()), nullptr);
}

void UpTest::TearDown() {
  if (HasFailure() && up_) std::fprintf(stderr, "it said:\n%s\n", up_->said().c_str());
  connection_.reset();
  up_.reset();
  // A child of one that was killed may be writing there for a moment longer.
  EXPECT_TRUE(HoldsInTime([&] {
    std::error_code failed;
    fs::remove_all(folder_, failed);
    return !failed;
  })) << folder_;
}

void UpTest::WriteManifest(const std::string& lane) {
  const std::string written = folder_ + "/written";
  std::ofstream(written)
      << "kind: WorkerPool\nmetadata: {name: media, namespace: studio}\nspec:\n"
         "  template:\n    spec:\n      containers:\n      - name: worker\n        image: w\n"
         "        command: [lanekeeper-example-worker]\n"
         "        env: [{name: EXAMPLE_RESULTS_SUBJECT, value: up.results}]\n"
         "  lanes:\n  - {name: short, class: Short, "
      << lane << "}\n";
  fs::rename(written, folder_ + "/pool.yaml");
}

std::vector<std::string> UpTest::Arguments() const {
  return {"up", folder_ + "/pool.yaml", "--state", folder_ + "/state", "--gateway-port", "0"};
}

void UpTest::Join() {
  const std::string key = "nats://127.0.0.1:";
  ASSERT_TRUE(Await([&] {
    const std::size_t at = up_->said().find(key);
    const bool shown = at != std::string::npos && up_->said().find('\n', at) != std::string::npos;
    return shown || up_->Ended();
  }));
  ASSERT_FALSE(up_->Ended()) << up_->said();
  const std::string& said = up_->said();
  const std::size_t at = said.find(key);
  connection_ = nats::Connect(said.substr(at, said.find('\n', at) - at));
  jetstream_.emplace(*connection_, nats::kAnswerDeadline);
  ASSERT_TRUE(Await([&] {
    return jetstream_->CreateStream(kResults, R"({"name":"UP_RESULTS","subjects":["up.results"]})")
               .has_value() ||
           jetstream_->StreamInfo(kResults).has_value();
  }));
  ASSERT_TRUE(Await([&] { return jetstream_->StreamInfo(JobStreamName(key_)).has_value(); }));
}

void UpTest::AwaitEnd() {
  const auto ended = up_->Wait();
  ASSERT_TRUE(ended) << "it did not end";
  EXPECT_EQ(ended->signal, 0);
  EXPECT_EQ(ended->code, 0);
  connection_.reset();
}

bool UpTest::Await(const std::function<bool()>& holds) {
  return HoldsInTime([&] {
    up_->said();
    return holds();
  });
}

bool UpTest::AwaitSaid(const std::string& text) {
  return Await([&] { return up_->said().find(text) != std::string::npos; });
}

void UpTest::Publish(const std::string& id, const std::string& type, const std::string& payload) {
  std::string refusal;
  const bool stored = Await([&] {
    const auto published = jetstream_->PublishAck(
        JobSubject(key_), payload,
        {{std::string(kHeaderMessageId), id}, {std::string(kHeaderType), type}});
    if (!published) refusal = published.error().error.message;
    return published.has_value();
  });
  ASSERT_TRUE(stored) << refusal;
}

void UpTest::Release(const std::string& gate) const { std::ofstream(GatePath(gate)) << "open\n"; }

bool UpTest::AwaitRunning(std::int64_t jobs) {
  return Await([&] {
    const auto consumer = jetstream_->ConsumerInfo(JobStreamName(key_), std::string(kConsumerName));
    return consumer && static_cast<std::int64_t>(consumer->ack_pending) == jobs &&
           RunningRecords() == jobs;
  });
}

std::int64_t UpTest::RunningRecords() const {
  const auto records = jetstream_->StreamInfo(kRecordStream, RecordSubjectFilter(key_));
  if (!records) return -1;
  std::int64_t running = 0;
  for (const auto& [subject, count] : records->subjects) {
    const auto stored = jetstream_->LastMessage(kRecordStream, subject);
    if (!stored) return -1;
    const auto record = nats::ReadJobRecord(stored->payload);
    if (record && record->state == JobState::kRunning) ++running;
  }
  return running;
}

std::map<std::string, std::vector<json>> UpTest::Results() {
  std::map<std::string, std::vector<json>> results;
  std::uint64_t next = 1;
  const bool read = Await([&] {
    const auto info = jetstream_->StreamInfo(kResults);
    if (!info) return false;
    for (; next <= info->last_sequence; ++next) {
      const auto stored = jetstream_->GetMessage(kResults, next);
      if (!stored) return false;
      const json result = json::parse(stored->payload);
      std::vector<json>& runs = results[result["id"]];
      // A run whose confirmation was lost is written again, with the same times.
      if (std::ranges::find(runs, result) == runs.end()) runs.push_back(result);
    }
    return true;
  });
  EXPECT_TRUE(read) << "the results cannot be read";
  return results;
}

std::int64_t UpTest::JobsLeft() {
  std::int64_t left = -1;
  EXPECT_TRUE(Await([&] {
    const auto info = jetstream_->StreamInfo(JobStreamName(key_));
    if (info) left = info->messages;
    return info.has_value();
  }));
  return left;
}

pid_t UpTest::UpPid() const {
  return std::atoi(ReadWholeFile(folder_ + "/state/lock").value_or("0").c_str());
}

std::map<pid_t, std::string> UpTest::Children() const {
  std::map<pid_t, pid_t> parent_of;
  for (const auto& entry : fs::directory_iterator("/proc")) {
    const pid_t pid = std::atoi(entry.path().filename().c_str());
    if (pid > 0 && Lives(pid)) parent_of[pid] = ParentOf(pid);
  }
  std::map<pid_t, std::string> children;
  std::set<pid_t> parents{UpPid()};
  for (bool found = true; found;) {
    found = false;
    for (const auto& [pid, parent] : parent_of) {
      if (!parents.contains(parent) || !parents.insert(pid).second) continue;
      found = true;
      children[pid] = CommandLineOf(pid);
    }
  }
  return children;
}

std::vector<pid_t> UpTest::Workers() const {
  std::vector<pid_t> workers;
  for (const auto& [pid, command] : Children()) {
    if (command.starts_with("lanekeeper-example-worker") && ParentOf(pid) == UpPid()) {
      workers.push_back(pid);
    }
  }
  return workers;
}

pid_t UpTest::OnlyWorker() const {
  const std::vector<pid_t> workers = Workers();
  return workers.size() == 1 ? workers.front() : 0;
}

bool UpTest::Lives(pid_t pid) {
  const std::string stat = StatOf(pid);
  return !stat.empty() && stat.front() != 'Z';
}

}  // namespace lanekeeper::up
