#include "worker-runtime/runner/worker_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

namespace lanekeeper {
namespace {

using testing::HasSubstr;

Result<WorkerOptions> Read(std::map<std::string, std::string> changes) {
  std::map<std::string, std::string> values = {
      {kEnvNamespace, "studio"}, {kEnvPool, "media"}, {kEnvLane, "short"}};
  for (const auto& [name, value] : changes) values[name] = value;
  return ReadWorkerOptions(Settings([values](const std::string& name) {
    const auto found = values.find(name);
    return found == values.end() ? std::nullopt : std::optional(found->second);
  }));
}

TEST(WorkerOptionsTest, TheLaneAloneIsEnough) {
  const auto options = Read({});
  ASSERT_TRUE(options) << options.error().message;
  EXPECT_EQ(options->nats_url, "nats://127.0.0.1:4222");
  EXPECT_EQ(options->stream, "LK_studio_media_short");
  EXPECT_EQ(options->consumer, "workers");
  EXPECT_EQ(options->dead_subject, "lk.dead.studio.media.short");
  EXPECT_FALSE(options->worker.empty());
  EXPECT_EQ(options->slots, 1);
  EXPECT_EQ(options->timeout, std::chrono::seconds(30));
  EXPECT_EQ(options->grace, std::chrono::seconds(40));
  EXPECT_EQ(options->http_port, 8081);
  EXPECT_TRUE(options->confirm_acks);
}

TEST(WorkerOptionsTest, TakesWhatTheOperatorSets) {
  const auto options = Read({{kEnvNatsUrl, "nats://nats:4222"},
                             {kEnvWorker, "media-short-1"},
                             {kEnvStream, "JOBS"},
                             {kEnvConsumer, "mine"},
                             {kEnvDeadSubject, "dead"},
                             {kEnvSlots, "8"},
                             {kEnvTimeout, "6h"},
                             {kEnvGrace, "6h30s"},
                             {kEnvAttempts, "3"},
                             {kEnvBackoffInitial, "500ms"},
                             {kEnvBackoffMax, "10m"},
                             {kEnvHttpPort, "0"},
                             {kEnvConfirmAcks, "false"},
                             {kEnvLogLevel, "debug"}});
  ASSERT_TRUE(options) << options.error().message;
  EXPECT_EQ(options->nats_url, "nats://nats:4222");
  EXPECT_EQ(options->worker, "media-short-1");
  EXPECT_EQ(options->stream, "JOBS");
  EXPECT_EQ(options->consumer, "mine");
  EXPECT_EQ(options->dead_subject, "dead");
  EXPECT_EQ(options->slots, 8);
  EXPECT_EQ(options->timeout, std::chrono::hours(6));
  EXPECT_EQ(options->grace, std::chrono::hours(6) + std::chrono::seconds(30));
  EXPECT_EQ(options->policy,
            (SettlementPolicy{.attempts_max = 3,
                              .backoff = {.initial = std::chrono::milliseconds(500),
                                          .max = std::chrono::minutes(10)}}));
  EXPECT_EQ(options->http_port, 0);
  EXPECT_FALSE(options->confirm_acks);
  EXPECT_EQ(options->log_level, "debug");
}

TEST(WorkerOptionsTest, NamesEveryProblemAtOnce) {
  const auto options = Read({{kEnvPool, ""},
                             {kEnvSlots, "0"},
                             {kEnvTimeout, "soon"},
                             {kEnvBackoffInitial, "10s"},
                             {kEnvBackoffMax, "1s"},
                             {kEnvHttpPort, "65536"},
                             {kEnvConfirmAcks, "maybe"},
                             {kEnvLogLevel, "loud"}});
  ASSERT_FALSE(options);
  EXPECT_EQ(options.error().kind, ErrorKind::kInvalid);
  for (const char* name : {kEnvPool, kEnvSlots, kEnvTimeout, kEnvBackoffMax, kEnvHttpPort,
                           kEnvConfirmAcks, kEnvLogLevel}) {
    EXPECT_THAT(options.error().message, HasSubstr(name));
  }
}

TEST(WorkerOptionsTest, RefusesNamesThatAreNoLabels) {
  const auto options = Read({{kEnvLane, "a.b"}});
  ASSERT_FALSE(options);
  EXPECT_THAT(options.error().message, HasSubstr("lane \"a.b\""));
}

// A lane that starts with a long backoff need not repeat it as the maximum.
TEST(WorkerOptionsTest, ALongInitialBackoffRaisesTheDefaultMaximum) {
  const auto options = Read({{kEnvBackoffInitial, "1h"}});
  ASSERT_TRUE(options) << options.error().message;
  EXPECT_EQ(options->policy.backoff.max, std::chrono::hours(1));
}

}  // namespace
}  // namespace lanekeeper
