// lanekeeper-worker on a real lane: its three ways to run a job, and its command line.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "worker-runtime/base/testing/held_port.h"
#include "worker-runtime/handlers/child_process.h"
#include "worker-runtime/job/settlement.h"
#include "worker-runtime/runner/testing/lane_fixture.h"

namespace lanekeeper {
namespace {

using runner::Eventually;
using testing::ElementsAre;
using testing::HasSubstr;

class WorkerMainNatsTest : public runner::LaneFixture {
 protected:
  // The record of a job once it has this state.
  JobRecord WaitState(const std::string& id, JobState state) {
    std::optional<JobRecord> record;
    EXPECT_TRUE(Eventually([&] {
      record = Record(id);
      return record && record->state == state;
    })) << id;
    return record.value_or(JobRecord{});
  }
};

TEST_F(WorkerMainNatsTest, AProgramGoesOnFromItsCheckpointWhenItsWorkerWasKilled) {
  MakeLane(std::chrono::seconds(1));
  const std::vector<std::string> command{
      "lanekeeper-worker", "--exec", "sh", "-c",
      "if [ -n \"$LK_JOB_CHECKPOINT\" ]; then\n"
      "  echo \"{\\\"result\\\":\\\"on from $(cat \"$LK_JOB_CHECKPOINT\")\\\"}\" >&3\n"
      "else\n"
      "  echo '{\"checkpoint\":\"page 7\",\"progress\":0.7}' >&3; exec sleep 1000\n"
      "fi"};
  Publish("", {{"Nats-Msg-Id", "book"}});
  std::optional<runner::Process> first(std::in_place, command, WorkerEnvironment("w-1"));
  ASSERT_TRUE(Eventually([this] {
    const auto record = Record("book");
    return record && record->checkpoint == "page 7";
  }));
  first.reset();  // SIGKILL.
  const runner::Process second(command, WorkerEnvironment("w-2"));
  const JobRecord record = WaitState("book", JobState::kDone);
  EXPECT_EQ(record.result, "on from page 7");
  EXPECT_EQ(record.runs, 2);
  EXPECT_EQ(record.crashes, 1);
  EXPECT_EQ(record.attempts, 0);
}

TEST_F(WorkerMainNatsTest, AJobThatKillsItsKeptProcessIsQuarantinedAndTheOthersGoOn) {
  MakeLane();
  Publish("poison", {{"Nats-Msg-Id", "bad"}});
  Publish("", {{"Nats-Msg-Id", "good"}});
  const runner::Process worker(
      {"lanekeeper-worker", "--serve-exec", "sh", "-c",
       "echo '{\"ready\":true}'\n"
       "while read -r job; do\n"
       "  case $job in *poison*) echo 'out of memory' >&2; kill -9 $$;; esac\n"
       "  echo '{\"outcome\":\"done\",\"result\":\"fine\"}'\n"
       "done"},
      WorkerEnvironment("w-1", {{kEnvBackoffInitial, "10ms"}}));
  const JobRecord bad = WaitState("bad", JobState::kDead);
  EXPECT_EQ(bad.dead_reason, kDeadCrashesUsedUp);
  EXPECT_EQ(bad.crashes, 2);
  EXPECT_EQ(bad.error_class, "signal 9");
  EXPECT_EQ(bad.error, "killed by signal 9 (Killed): out of memory");
  EXPECT_EQ(WaitState("good", JobState::kDone).result, "fine");
}

TEST_F(WorkerMainNatsTest, JobsArePostedAndTheStatusDecides) {
  MakeLane();
  Publish("text", {{"Nats-Msg-Id", "good"}});
  Publish("", {{"Nats-Msg-Id", "empty"}});
  const HeldPort held;
  const std::string port = std::to_string(held.number());
  const runner::Process worker(
      {"lanekeeper-worker", "--http-url", "http://127.0.0.1:" + port + "/jobs"},
      WorkerEnvironment("w-1"));
  auto sidecar = handlers::Process::Start(
      {.program = "worker-runtime/examples/python_http/sidecar.py",
       .arguments = {"sidecar.py"},
       .environment = {"PATH=" + handlers::OwnPath(), "SIDECAR_PORT=" + port}},
      {});
  ASSERT_TRUE(sidecar) << sidecar.error().message;
  EXPECT_EQ(WaitState("good", JobState::kDone).result,
            "982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1");
  const JobRecord empty = WaitState("empty", JobState::kDead);
  EXPECT_EQ(empty.dead_reason, kDeadRejected);
  EXPECT_EQ(empty.error_class, "http 422");
}

// Its exit code is 2, and this is what it says.
std::vector<std::string> Refusal(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "lanekeeper-worker");
  const auto folder = std::filesystem::read_symlink("/proc/self/exe").parent_path();
  const auto exit =
      handlers::RunChild({.program = folder / arguments.front(),
                          .arguments = arguments,
                          .environment = {"LANEKEEPER_NAMESPACE=studio", "LANEKEEPER_POOL=media",
                                          "LANEKEEPER_LANE=short"}},
                         "", {});
  EXPECT_TRUE(exit && exit->status.code == 2);
  return exit ? exit->last_lines : std::vector<std::string>{};
}

TEST(WorkerMainTest, AWrongCommandLineIsRefusedWithTheFlagAndTheRemedy) {
  const std::pair<std::vector<std::string>, const char*> rows[] = {
      {{}, "give --exec PROGRAM, --serve-exec PROGRAM or --http-url URL"},
      {{"--exec"}, "--exec needs a program behind it"},
      {{"--serve-exec"}, "--serve-exec needs a program behind it"},
      {{"--http-url", "http://127.0.0.1/", "--exec", "sh"}, "give one of them"},
      {{"--exec", "--serve-exec", "sh"}, "give one of them"},
      {{"--exec", "no-such-program"}, "there is no program \"no-such-program\""},
      {{"--serve-start", "soon", "--serve-exec", "sh"}, "--serve-start is \"soon\""},
      {{"--http-url", "https://127.0.0.1/"}, "https is not spoken here"},
      {{"--tracking", "all", "--exec", "sh"}, "LANEKEEPER_TRACKING is \"all\""},
      {{"--fast"}, "\"--fast\" is no flag"},
  };
  for (const auto& [arguments, problem] : rows) {
    EXPECT_THAT(Refusal(arguments), ElementsAre(HasSubstr(problem)));
  }
}

}  // namespace
}  // namespace lanekeeper
