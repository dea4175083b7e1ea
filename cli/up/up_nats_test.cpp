// `lanekeeper up` as people run it: the program itself, its nats-server, its workers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <sstream>

#include "operator/local/state_folder.h"
#include "worker-runtime/handlers/process.h"
#include "worker-runtime/job/names.h"
#include "worker-runtime/nats/jetstream.h"
#include "worker-runtime/nats/testing/nats_test.h"

namespace lanekeeper::up {
namespace {

using nats::Eventually;
using nlohmann::json;
using testing::HasSubstr;

constexpr const char* kResults = "UP_RESULTS";

// The running program; its output is read whenever the test waits for something.
class Lanekeeper {
 public:
  explicit Lanekeeper(const std::vector<std::string>& arguments) {
    const auto folder = std::filesystem::read_symlink("/proc/self/exe").parent_path();
    std::vector<std::string> words{"lanekeeper"};
    words.insert(words.end(), arguments.begin(), arguments.end());
    auto started = handlers::Process::Start({.program = folder / "lanekeeper",
                                             .arguments = words,
                                             .environment = handlers::OwnEnvironment()},
                                            {});
    EXPECT_TRUE(started) << started.error().message;
    if (started) process_.emplace(*std::move(started));
  }
  void Signal(int signal) { process_->SignalLeader(signal); }
  const std::string& said() {
    handlers::ReadBuffer buffer;
    while (process_) {
      const std::string_view bytes = handlers::ReadSome(process_->output, buffer);
      if (bytes.empty()) break;
      said_ += bytes;
    }
    return said_;
  }
  // How it ended; nothing: it did not.
  std::optional<handlers::ExitStatus> Wait() {
    const bool ended = Eventually([&] {
      said();
      return process_->Exited();
    });
    if (!ended) return std::nullopt;
    said();
    const handlers::ExitStatus status = process_->Reap();
    process_.reset();
    return status;
  }

 private:
  std::optional<handlers::Process> process_;
  std::string said_;
};

class UpTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / "lanekeeper-up-XXXXXX";
    ASSERT_NE(mkdtemp(folder_.data()), nullptr);
  }
  void TearDown() override {
    if (HasFailure() && up_) std::fprintf(stderr, "it said:\n%s\n", up_->said().c_str());
    connection_.reset();
    up_.reset();
    std::filesystem::remove_all(folder_);
  }

  // `lane`: fields of the lane "short".
  void WriteManifest(const std::string& lane) {
    const std::string written = folder_ + "/written";
    std::ofstream(written)
        << "kind: WorkerPool\nmetadata: {name: media, namespace: studio}\nspec:\n"
           "  template:\n    spec:\n      containers:\n      - name: worker\n        image: w\n"
           "        command: [lanekeeper-example-worker]\n"
           "        env: [{name: EXAMPLE_RESULTS_SUBJECT, value: up.results}]\n"
           "  lanes:\n  - {name: short, class: Short, "
        << lane << "}\n";
    std::filesystem::rename(written, folder_ + "/pool.yaml");
  }
  std::vector<std::string> Arguments() const {
    return {"up", folder_ + "/pool.yaml", "--state", folder_ + "/state"};
  }
  // Returns when the lane's queue is there.
  void Start() {
    up_ = std::make_unique<Lanekeeper>(Arguments());
    const std::string key = "nats://127.0.0.1:";
    ASSERT_TRUE(Eventually([&] {
      const std::size_t at = up_->said().find(key);
      return at != std::string::npos && up_->said().find('\n', at) != std::string::npos;
    })) << up_->said();
    const std::string& said = up_->said();
    const std::size_t at = said.find(key);
    connection_ = nats::Connect(said.substr(at, said.find('\n', at) - at));
    jetstream_.emplace(*connection_);
    (void)jetstream_->CreateStream(kResults, R"({"name":"UP_RESULTS","subjects":["up.results"]})");
    ASSERT_TRUE(Await([&] { return jetstream_->StreamInfo(JobStreamName(key_)).has_value(); }));
  }
  // With the program's output read meanwhile.
  bool Await(const std::function<bool()>& holds) {
    return Eventually([&] {
      up_->said();
      return holds();
    });
  }
  void Publish(const std::string& id, const std::string& payload) {
    const auto stored = jetstream_->PublishAck(
        JobSubject(key_), payload,
        {{std::string(kHeaderMessageId), id}, {std::string(kHeaderType), "sleep"}});
    ASSERT_TRUE(stored) << stored.error().error.message;
  }
  // Successful runs by job, as the workers recorded them.
  std::map<std::string, std::vector<json>> Results() {
    std::map<std::string, std::vector<json>> results;
    const auto info = jetstream_->StreamInfo(kResults);
    if (!info) return results;
    for (std::uint64_t n = 1; n <= info->last_sequence; ++n) {
      const auto stored = jetstream_->GetMessage(kResults, n);
      if (!stored) continue;
      const json result = json::parse(stored->payload);
      results[result["id"]].push_back(result);
    }
    return results;
  }
  std::int64_t JobsLeft() {
    const auto info = jetstream_->StreamInfo(JobStreamName(key_));
    return info ? static_cast<std::int64_t>(info->messages) : -1;
  }
  pid_t UpPid() const {
    return std::atoi(ReadWholeFile(folder_ + "/state/lock").value_or("0").c_str());
  }
  // Processes that `up` started, and those they started, with their command lines.
  std::map<pid_t, std::string> Children() const {
    std::map<pid_t, std::string> children;
    std::set<pid_t> parents{UpPid()};
    std::map<pid_t, pid_t> parent_of;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      const pid_t pid = std::atoi(entry.path().filename().c_str());
      const std::string stat = ReadWholeFile(entry.path().string() + "/stat").value_or("");
      const std::size_t end = stat.rfind(')');
      if (pid <= 0 || end == std::string::npos || stat.compare(end, 3, ") Z") == 0) continue;
      parent_of[pid] = std::atoi(stat.c_str() + std::min(end + 4, stat.size()));
    }
    for (bool found = true; found;) {
      found = false;
      for (const auto& [pid, parent] : parent_of) {
        if (!parents.contains(parent) || !parents.insert(pid).second) continue;
        found = true;
        std::string command =
            ReadWholeFile("/proc/" + std::to_string(pid) + "/cmdline").value_or("");
        std::ranges::replace(command, '\0', ' ');
        children[pid] = command;
      }
    }
    return children;
  }
  // Of workers: those that `up` started itself.
  std::vector<pid_t> Workers() const {
    std::vector<pid_t> workers;
    for (const auto& [pid, command] : Children()) {
      const std::string stat = ReadWholeFile("/proc/" + std::to_string(pid) + "/stat").value_or("");
      const std::size_t end = stat.rfind(')');
      if (end == std::string::npos || end + 4 > stat.size()) continue;
      if (std::atoi(stat.c_str() + end + 4) == UpPid() &&
          command.starts_with("lanekeeper-example-worker")) {
        workers.push_back(pid);
      }
    }
    return workers;
  }
  // Looked at once: between two looks one may end.
  bool OneWorkerOtherThan(pid_t before) const {
    const std::vector<pid_t> workers = Workers();
    return workers.size() == 1 && workers.front() != before;
  }
  static bool Lives(pid_t pid) {
    const std::string stat = ReadWholeFile("/proc/" + std::to_string(pid) + "/stat").value_or("");
    return !stat.empty() && stat.find(") Z") == std::string::npos;
  }
  bool NoneLives(const std::map<pid_t, std::string>& children) {
    return Eventually([&] {
      return std::ranges::none_of(children, [](const auto& child) { return Lives(child.first); });
    });
  }

  const LaneKey key_{"studio", "media", "short"};
  std::string folder_;
  std::unique_ptr<Lanekeeper> up_;
  std::unique_ptr<nats::Connection> connection_;
  std::optional<nats::JetStream> jetstream_;
};

TEST_F(UpTest, ScalesFromZeroAndBackToZeroAndInterruptsNobody) {
  WriteManifest("workers: {max: 3, slots: 1}, scaling: {jobsPerWorker: 1, scaleDownWindow: 1s}");
  Start();
  EXPECT_TRUE(Workers().empty());
  Publish("long", "6000");  // Runs while the others are released.
  for (int n = 0; n < 5; ++n) Publish("short-" + std::to_string(n), "300");
  EXPECT_TRUE(Await([&] { return Workers().size() == 3; }));
  EXPECT_TRUE(Await([&] { return Results().size() == 6; }));
  EXPECT_TRUE(Await([&] { return Workers().empty(); }));
  EXPECT_TRUE(Await([&] {
    return up_->said().rfind("workers 0/0") > up_->said().rfind("workers 3/3") &&
           up_->said().find("workers 3/3") != std::string::npos;
  }));
  for (const auto& [id, runs] : Results()) {
    ASSERT_EQ(runs.size(), 1u) << id;
    EXPECT_EQ(runs[0]["run"], 1) << id;
  }
  EXPECT_THAT(up_->said(), HasSubstr("studio/media: Workers are processes of this machine: image"));
  EXPECT_THAT(up_->said(), testing::Not(HasSubstr("interrupted")));
}

TEST_F(UpTest, ADeadWorkerIsStartedAgainAndItsJobRunsToItsEnd) {
  WriteManifest("workers: {min: 1, max: 1, slots: 1}");
  Start();
  ASSERT_TRUE(Await([&] { return Workers().size() == 1; }));
  Publish("job", "3000");
  ASSERT_TRUE(Await([&] {
    const auto consumer = jetstream_->ConsumerInfo(JobStreamName(key_), std::string(kConsumerName));
    return consumer && consumer->ack_pending == 1;
  }));
  const pid_t first = Workers().front();
  // Of the worker itself: its supervisor, which is its parent, gives the job back.
  pid_t inner = 0;
  for (const auto& [pid, command] : Children()) {
    if (pid != first && command.starts_with("lanekeeper-example-worker")) inner = pid;
  }
  ASSERT_NE(inner, 0);
  ASSERT_EQ(kill(inner, SIGKILL), 0);
  ASSERT_TRUE(Await([&] { return OneWorkerOtherThan(first); }));
  ASSERT_TRUE(Await([&] { return !Results().empty(); }));
  EXPECT_EQ(Results()["job"].size(), 1u);
}

TEST_F(UpTest, AChangedManifestRollsWhileTheRunningJobFinishes) {
  WriteManifest("workers: {min: 1, max: 1, slots: 1}");
  Start();
  ASSERT_TRUE(Await([&] { return Workers().size() == 1; }));
  const pid_t old = Workers().front();
  Publish("job", "5000");
  ASSERT_TRUE(Await([&] {
    const auto consumer = jetstream_->ConsumerInfo(JobStreamName(key_), std::string(kConsumerName));
    return consumer && consumer->ack_pending == 1;
  }));
  WriteManifest("workers: {min: 1, max: 1, slots: 2}");
  ASSERT_TRUE(Await([&] { return Workers().size() == 2; }));  // Side by side.
  EXPECT_TRUE(Results().empty());
  ASSERT_TRUE(Await([&] { return OneWorkerOtherThan(old); }));
  ASSERT_EQ(Results()["job"].size(), 1u);
  EXPECT_EQ(Results()["job"][0]["run"], 1);
}

TEST_F(UpTest, ABrokenManifestIsSaidAndWhatRunsGoesOn) {
  WriteManifest("workers: {min: 1, max: 1, slots: 1}");
  Start();
  ASSERT_TRUE(Await([&] { return Workers().size() == 1; }));
  const pid_t worker = Workers().front();
  WriteManifest("workers: {min: 1, max: 1, slots: none}");
  ASSERT_TRUE(
      Await([&] { return up_->said().find("until it is corrected") != std::string::npos; }));
  EXPECT_THAT(up_->said(), HasSubstr("studio/media: the manifest is not used: spec.lanes[0]"));
  Publish("job", "10");
  ASSERT_TRUE(Await([&] { return Results().size() == 1; }));
  EXPECT_EQ(Workers().front(), worker);
}

TEST_F(UpTest, ARestartWithJobsInTheQueueLosesNothing) {
  WriteManifest("workers: {max: 1, slots: 1}");
  Start();
  for (int n = 0; n < 8; ++n) Publish("job-" + std::to_string(n), "300");
  ASSERT_TRUE(Await([&] { return Results().size() >= 2; }));
  up_->Signal(SIGTERM);
  const auto ended = up_->Wait();
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->code, 0);
  EXPECT_THAT(up_->said(), HasSubstr("wait in the queue"));
  connection_.reset();
  Start();
  ASSERT_TRUE(Await([&] { return Results().size() == 8; }));
  for (const auto& [id, runs] : Results()) {
    ASSERT_EQ(runs.size(), 1u) << id;
    EXPECT_EQ(runs[0]["run"], 1) << id;
  }
}

TEST_F(UpTest, SigtermEndsAllChildren) {
  WriteManifest("workers: {min: 2, max: 2}");
  Start();
  ASSERT_TRUE(Await([&] { return Workers().size() == 2; }));
  const std::map<pid_t, std::string> children = Children();
  ASSERT_GE(children.size(), 3u);  // Two workers and a nats-server.
  up_->Signal(SIGTERM);
  const auto ended = up_->Wait();
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->signal, 0);
  EXPECT_EQ(ended->code, 0);
  for (const auto& [pid, command] : children) EXPECT_FALSE(Lives(pid)) << command;
}

TEST_F(UpTest, NoChildOutlivesAKilledUp) {
  WriteManifest("workers: {min: 2, max: 2}");
  Start();
  ASSERT_TRUE(Await([&] { return Workers().size() == 2; }));
  const std::map<pid_t, std::string> children = Children();
  up_->Signal(SIGKILL);
  ASSERT_TRUE(up_->Wait());
  EXPECT_TRUE(NoneLives(children));
}

TEST_F(UpTest, TheSecondSignalEndsARunningJobAndItStaysInTheQueue) {
  WriteManifest("workers: {max: 1, slots: 1}");
  Start();
  Publish("job", "600000");
  ASSERT_TRUE(Await([&] {
    const auto consumer = jetstream_->ConsumerInfo(JobStreamName(key_), std::string(kConsumerName));
    return consumer && consumer->ack_pending == 1;
  }));
  up_->Signal(SIGINT);
  ASSERT_TRUE(Await([&] { return up_->said().find("Ctrl-C again") != std::string::npos; }));
  EXPECT_EQ(Workers().size(), 1u);
  up_->Signal(SIGINT);
  const auto ended = up_->Wait();
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->code, 0);
  connection_.reset();
  Start();
  EXPECT_EQ(JobsLeft(), 1);
  up_->Signal(SIGINT);
  ASSERT_TRUE(Await([&] { return up_->said().find("wait in the queue.\n") != std::string::npos; }));
  up_->Signal(SIGINT);
  EXPECT_TRUE(up_->Wait());
}

TEST_F(UpTest, TwoOnOneFolderAreRefused) {
  WriteManifest("workers: {max: 1}");
  Start();
  Lanekeeper second(Arguments());
  const auto ended = second.Wait();
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->code, 1);
  EXPECT_THAT(second.said(), HasSubstr("process " + std::to_string(UpPid()) + " uses the folder"));
}

TEST_F(UpTest, AWrongStartIsRefusedWithTheRemedy) {
  WriteManifest("workers: {min: 5, max: 3}");
  const std::pair<std::vector<std::string>, const char*> rows[] = {
      {Arguments(), "studio/media: spec.lanes[0].workers"},
      {{"up", folder_ + "/none.yaml"}, "cannot read the manifest"},
      {{"up", folder_}, "cannot read the manifest"},
      {{"up"}, "manifest is required"},
      {{"up", "x", "--port", "1", "--nats", "nats://x"}, "excludes"},
      {{}, "subcommand is required"},
  };
  for (const auto& [arguments, problem] : rows) {
    Lanekeeper lanekeeper(arguments);
    const auto ended = lanekeeper.Wait();
    ASSERT_TRUE(ended);
    EXPECT_EQ(ended->code, 2) << problem;
    EXPECT_THAT(lanekeeper.said(), HasSubstr(problem));
  }
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/state"));
}

}  // namespace
}  // namespace lanekeeper::up
