#include "worker-runtime/runner/exec_handler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <string>
#include <utility>
#include <vector>

namespace lanekeeper::runner {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

const LaneKey kLane{"studio", "media", "short"};

Job MakeJob(Headers headers = {}, std::string payload = "") {
  return Job({.delivery = 2, .payload = std::move(payload), .headers = std::move(headers)},
             {.id = "order-1",
              .type = "thumbnail",
              .traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
             5);
}

TEST(ChildEnvironmentTest, SaysWhatTheJobIsAbout) {
  EXPECT_THAT(
      ChildEnvironment(MakeJob(), kLane, {"PATH=/bin", "LK_JOB_ID=old", "TRACEPARENT=old"}),
      ElementsAre("PATH=/bin", "LK_JOB_ID=order-1", "LK_JOB_TYPE=thumbnail", "LK_JOB_DELIVERY=2",
                  "LK_JOB_ATTEMPTS=5", "LK_LANE=short", "LK_POOL=media", "LK_NAMESPACE=studio",
                  "TRACEPARENT=00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"));
}

TEST(ChildEnvironmentTest, HeadersBecomeSafeNames) {
  const auto environment =
      ChildEnvironment(MakeJob({{"X-Tenant", "a=b"},
                                {"x_tenant", "second"},
                                {"Nats-Msg-Id", "order-1"},
                                {"L\xc3\xa4nge", "1"},
                                {"Zero", std::string("a\0b", 3)},
                                {"Long", std::string(kEnvironmentValueBytesMax + 1, 'x')}}),
                       kLane, {});
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
  EXPECT_EQ(ChildEnvironment(MakeJob(headers), kLane, {}).size(),
            ChildEnvironment(MakeJob(), kLane, {}).size() + kEnvironmentHeadersMax);
}

TEST(OutcomeOfExitTest, FollowsTheContract) {
  EXPECT_EQ(OutcomeOfExit({}), Outcome(Done{}));
  EXPECT_EQ(OutcomeOfExit({.stopped = true}), Outcome(Done{}));
  EXPECT_EQ(OutcomeOfExit({.code = 1, .last_lines = {"a", "b"}}),
            Outcome(Failed{"exit code 1: a | b"}));
  EXPECT_EQ(OutcomeOfExit({.code = 75}), Outcome(Failed{"exit code 75"}));
  EXPECT_EQ(OutcomeOfExit({.code = 65, .last_lines = {"bad row"}}),
            Outcome(Rejected{"exit code 65: bad row"}));
  EXPECT_EQ(OutcomeOfExit({.signal = SIGKILL}), Outcome(Failed{"killed by signal 9 (Killed)"}));
  EXPECT_EQ(OutcomeOfExit({.stopped = true, .signal = SIGTERM}), Outcome(Interrupted{}));
  EXPECT_EQ(OutcomeOfExit({.stopped = true, .code = 143}), Outcome(Interrupted{}));
}

TEST(ExecHandlerTest, RunsTheProgramForTheJob) {
  std::signal(SIGPIPE, SIG_IGN);
  std::vector<std::string> lines;
  const auto handler =
      MakeExecHandler({.command = {"sh", "-c", "echo $LK_JOB_ID $LK_LANE $(cat); exit 65"},
                       .lane = kLane,
                       .on_line = [&](const Job& job, std::string_view line) {
                         lines.push_back(job.type() + ": " + std::string(line));
                       }});
  ASSERT_TRUE(handler) << handler.error().message;
  Job job = MakeJob({}, "the payload");
  EXPECT_EQ((*handler)(job), Outcome(Rejected{"exit code 65: order-1 short the payload"}));
  EXPECT_THAT(lines, ElementsAre("thumbnail: order-1 short the payload"));
}

TEST(ExecHandlerTest, StopsTheProgramWithTheJob) {
  std::atomic<bool> stop{false};
  const auto handler =
      MakeExecHandler({.command = {"sh", "-c", "echo up; exec sleep 1000"},
                       .on_line = [&](const Job&, std::string_view) { stop = true; }});
  Job job({}, {}, 1, [&stop] { return stop.load(); });
  EXPECT_EQ((*handler)(job), Outcome(Interrupted{}));
}

TEST(ExecHandlerTest, AMissingProgramIsFoundOutBeforeTheFirstJob) {
  const auto handler = MakeExecHandler({.command = {"no-such-program"}});
  ASSERT_FALSE(handler);
  EXPECT_THAT(handler.error().message, HasSubstr("no-such-program"));
}

}  // namespace
}  // namespace lanekeeper::runner
