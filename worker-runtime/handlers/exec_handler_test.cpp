#include "worker-runtime/handlers/exec_handler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "worker-runtime/handlers/testing/fake_job_context.h"

namespace lanekeeper::handlers {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

const LaneKey kLane{"studio", "media", "short"};

Job MakeJob(Headers headers = {}, std::string payload = "", JobContext* context = nullptr) {
  return Job({.delivery = 2, .payload = std::move(payload), .headers = std::move(headers)},
             {.id = "order-1",
              .type = "thumbnail",
              .traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
             {.attempt = 2,
              .attempts_max = 5,
              .run = 3,
              .fence = 81,
              .checkpoint = "page 7",
              .timeout = std::chrono::seconds(30)},
             context);
}

TEST(ChildEnvironmentTest, SaysWhatTheJobIsAbout) {
  EXPECT_THAT(
      ChildEnvironment(MakeJob(), kLane, "/tmp/c",
                       {"PATH=/bin", "LK_JOB_ID=old", "TRACEPARENT=old"}),
      ElementsAre("PATH=/bin", "LK_JOB_ID=order-1", "LK_JOB_TYPE=thumbnail", "LK_JOB_ATTEMPT=2",
                  "LK_JOB_ATTEMPTS=5", "LK_JOB_RUN=3", "LK_JOB_FENCE=81", "LK_JOB_DELIVERY=2",
                  "LK_JOB_TIMEOUT_MS=30000", "LK_JOB_FD=3", "LK_JOB_CHECKPOINT=/tmp/c",
                  "LK_LANE=short", "LK_POOL=media", "LK_NAMESPACE=studio",
                  "TRACEPARENT=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
  EXPECT_THAT(ChildEnvironment(MakeJob(), kLane, "", {"LK_JOB_CHECKPOINT=/of/another"}),
              Not(Contains(StartsWith("LK_JOB_CHECKPOINT"))));
}

TEST(ChildEnvironmentTest, HeadersBecomeSafeNames) {
  const auto environment =
      ChildEnvironment(MakeJob({{"X-Tenant", "a=b"},
                                {"x_tenant", "second"},
                                {"Nats-Msg-Id", "order-1"},
                                {"L\xc3\xa4nge", "1"},
                                {"Zero", std::string("a\0b", 3)},
                                {"Long", std::string(kEnvironmentValueBytesMax + 1, 'x')}}),
                       kLane, "", {});
  EXPECT_THAT(environment, Contains("LK_HEADER_X_TENANT=a=b"));
  EXPECT_THAT(environment, Not(Contains("LK_HEADER_X_TENANT=second")));
  EXPECT_THAT(environment, Contains("LK_HEADER_NATS_MSG_ID=order-1"));
  EXPECT_THAT(environment, Contains("LK_HEADER_L__NGE=1"));
  EXPECT_THAT(environment, Not(Contains(StartsWith("LK_HEADER_ZERO"))));
  EXPECT_THAT(environment, Not(Contains(StartsWith("LK_HEADER_LONG"))));
}

TEST(ChildEnvironmentTest, TakesAtMostSoManyHeaders) {
  Headers headers;
  for (int n = 0; n < 500; ++n) headers.emplace_back("H" + std::to_string(n), "x");
  EXPECT_EQ(ChildEnvironment(MakeJob(headers), kLane, "", {}).size(),
            ChildEnvironment(MakeJob(), kLane, "", {}).size() + kEnvironmentHeadersMax);
}

struct ExitCase {
  const char* name;
  ChildExit exit;
  Outcome expected;
};
void PrintTo(const ExitCase& row, std::ostream* out) { *out << row.name; }

class OutcomeOfExitTest : public testing::TestWithParam<ExitCase> {};

TEST_P(OutcomeOfExitTest, FollowsTheContract) {
  EXPECT_EQ(OutcomeOfExit(GetParam().exit, "result"), GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, OutcomeOfExitTest,
    testing::Values(
        ExitCase{"ZeroIsDone", {}, Done{"result"}},
        ExitCase{"ZeroIsDoneThoughToldToStop", {.stopped = true}, Done{"result"}},
        ExitCase{"AnyOtherCodeIsFailed",
                 {.status = {.code = 1}, .last_lines = {"a", "b"}},
                 Failed{"exit code 1: b", "exit 1", {"a", "b"}}},
        ExitCase{"TempfailIsFailed", {.status = {.code = 75}}, Failed{"exit code 75", "exit 75"}},
        ExitCase{"DataerrIsRejected",
                 {.status = {.code = 65}, .last_lines = {"bad row"}},
                 Rejected{"exit code 65: bad row", "exit 65", {"bad row"}}},
        ExitCase{"ASignalIsACrash",
                 {.status = {.signal = SIGSEGV}, .last_lines = {"core"}},
                 Crashed{"killed by signal 11 (Segmentation fault): core", "signal 11", {"core"}}},
        ExitCase{"TheSignalOfTheStopIsInterrupted",
                 {.stopped = true, .status = {.signal = SIGTERM}},
                 Interrupted{}},
        ExitCase{"ACodeAfterTheStopIsInterrupted",
                 {.stopped = true, .status = {.code = 143}},
                 Interrupted{}}),
    [](const auto& test) { return std::string(test.param.name); });

class ExecHandlerTest : public testing::Test {
 protected:
  ExecHandlerTest() { std::signal(SIGPIPE, SIG_IGN); }

  // The outcome of a shell script for a job with `payload`.
  Outcome Run(const std::string& script, const std::string& payload = "") {
    const auto handler = MakeExecHandler(
        {.command = {"sh", "-c", script},
         .lane = kLane,
         .on_line = [this](const Job&, std::string_view line) { lines_.emplace_back(line); }});
    Job job = MakeJob({}, payload, &context_);
    return (*handler)(job);
  }

  FakeJobContext context_;
  std::vector<std::string> lines_;
};

TEST_F(ExecHandlerTest, RunsTheProgramForTheJob) {
  EXPECT_EQ(
      Run("echo $LK_JOB_ID $LK_LANE $(cat); exit 65", "the payload"),
      Outcome(Rejected{
          "exit code 65: order-1 short the payload", "exit 65", {"order-1 short the payload"}}));
  EXPECT_THAT(lines_, ElementsAre("order-1 short the payload"));
}

TEST_F(ExecHandlerTest, DescriptorThreeCarriesProgressCheckpointAndResult) {
  EXPECT_EQ(Run("echo '{\"progress\":0.4,\"note\":\"page 12\"}' >&3\n"
                "echo '{\"checkpoint\":\"page 12\"}' >&3\n"
                "read -r answer <&3; echo $answer\n"
                "echo '{\"checkpoint_base64\":\"AAEC\"}' >&3\n"
                "echo '{\"result\":\"s3://thumbs/1\"}' >&3"),
            Outcome(Done{"s3://thumbs/1"}));
  EXPECT_THAT(context_.progress, ElementsAre(std::pair<double, std::string>(0.4, "page 12")));
  EXPECT_THAT(context_.checkpoints, ElementsAre("page 12", std::string("\0\1\2", 3)));
  EXPECT_THAT(lines_, ElementsAre("{\"stored\":true}"));
}

TEST_F(ExecHandlerTest, ACheckpointThatIsRefusedIsToldToTheProgram) {
  context_.checkpoint_answer = Fail(ErrorKind::kForbidden, "another worker has the job");
  EXPECT_EQ(Run("echo '{\"checkpoint\":\"x\"}' >&3; read -r answer <&3; echo $answer"),
            Outcome(Done{}));
  EXPECT_THAT(lines_, ElementsAre("{\"error\":\"another worker has the job\",\"stored\":false}"));
}

TEST_F(ExecHandlerTest, ABadLineIsAnsweredAndHarmsNothing) {
  EXPECT_EQ(Run("echo nonsense >&3; read -r answer <&3; echo $answer; "
                "echo '{\"result\":\"good\"}' >&3"),
            Outcome(Done{"good"}));
  ASSERT_EQ(lines_.size(), 1U);
  EXPECT_THAT(lines_[0], HasSubstr("\"stored\":false"));
}

TEST_F(ExecHandlerTest, TheCheckpointOfAnEarlierRunIsAFileForTheTimeOfThisOne) {
  EXPECT_EQ(Run("echo $LK_JOB_CHECKPOINT; cat $LK_JOB_CHECKPOINT"), Outcome(Done{}));
  ASSERT_EQ(lines_.size(), 2U);
  EXPECT_EQ(lines_[1], "page 7");
  EXPECT_FALSE(std::ifstream(lines_[0]).is_open()) << lines_[0];
}

TEST_F(ExecHandlerTest, AProgramThatIsKilledIsACrash) {
  EXPECT_EQ(Run("echo before; kill -SEGV $$"),
            Outcome(Crashed{
                "killed by signal 11 (Segmentation fault): before", "signal 11", {"before"}}));
}

TEST_F(ExecHandlerTest, StopsTheProgramWithTheJob) {
  context_.stop_at_progress = true;
  EXPECT_EQ(Run("echo '{\"progress\":0}' >&3; exec sleep 1000"), Outcome(Interrupted{}));
}

TEST_F(ExecHandlerTest, AMissingProgramIsFoundOutBeforeTheFirstJob) {
  const auto handler = MakeExecHandler({.command = {"no-such-program"}});
  ASSERT_FALSE(handler);
  EXPECT_THAT(handler.error().message, HasSubstr("no-such-program"));
}

}  // namespace
}  // namespace lanekeeper::handlers
