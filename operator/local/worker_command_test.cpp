#include "operator/local/worker_command.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "operator/manifest/manifest.h"
#include "worker-runtime/job/names.h"

namespace lanekeeper {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

WorkerPool PoolWith(const std::string& pod_spec, const std::string& lane_extra = "") {
  const Result<WorkerPool> pool = ReadPool(
      "kind: WorkerPool\napiVersion: lanekeeper.dev/v1alpha1\n"
      "metadata: {name: media, namespace: studio}\n"
      "spec:\n  template: {spec: " +
      pod_spec + "}\n  lanes: [{name: short, class: Short" + lane_extra + "}]\n");
  EXPECT_TRUE(pool) << pool.error().message;
  return *pool;
}

Result<WorkerCommand> Read(const WorkerPool& pool) {
  return ReadWorkerCommand(pool, pool.lanes.front(), "nats://127.0.0.1:4333");
}

TEST(WorkerCommandTest, IsTheCommandOfTheContainerNamedWorkerWithItsLanesSettings) {
  const WorkerPool pool = PoolWith(
      "{containers: [{name: log, image: l}, {name: worker, image: w, command: [sh, -c], "
      "args: [\"exec x $(MODEL)\"], env: [{name: MODEL, value: big}]}]}");
  const Result<WorkerCommand> command = Read(pool);
  ASSERT_TRUE(command) << command.error().message;
  EXPECT_THAT(command->words, ElementsAre("sh", "-c", "exec x $(MODEL)"));
  EXPECT_EQ(command->grace, pool.lanes.front().workers.grace);
  const Result<handlers::Command> started = CommandFor(
      *command, "media-short-abcde",
      {"HOME=/home/me", "MODEL=mine", "LANEKEEPER_LOG_LEVEL=debug", "PATH=/nowhere"}, "/bin");
  ASSERT_TRUE(started) << started.error().message;
  EXPECT_EQ(started->program, "/bin/sh");
  EXPECT_THAT(started->arguments, ElementsAre("sh", "-c", "exec x big"));
  for (const char* variable :
       {"HOME=/home/me", "MODEL=big", "PATH=/bin", "LANEKEEPER_WORKER=media-short-abcde",
        "LANEKEEPER_NATS_URL=nats://127.0.0.1:4333", "LANEKEEPER_HTTP_PORT=0",
        "LANEKEEPER_STREAM=LK_studio_media_short", "LANEKEEPER_SLOTS=8"}) {
    EXPECT_THAT(started->environment, Contains(variable));
  }
  EXPECT_THAT(started->environment, Not(Contains(StartsWith("LANEKEEPER_LOG_LEVEL"))));
  EXPECT_EQ(std::ranges::count_if(started->environment,
                                  [](const auto& v) { return v.starts_with("MODEL="); }),
            1);
}

TEST(WorkerCommandTest, WhatMeansNothingHereIsSaid) {
  const Result<WorkerCommand> command =
      Read(PoolWith("{nodeSelector: {gpu: a100}, volumes: [], "
                    "containers: [{name: worker, image: w, command: [sh], resources: {}, "
                    "env: [{name: KEY, valueFrom: {secretKeyRef: {name: s, key: k}}}]}, "
                    "{name: proxy, image: p}]}"));
  ASSERT_TRUE(command) << command.error().message;
  EXPECT_THAT(
      command->left_out,
      ElementsAre(
          "The template takes KEY from a cluster (valueFrom); set in the environment of "
          "lanekeeper, workers get it from there.",
          "Workers are processes of this machine: image, nodeSelector, resources and volumes of "
          "the template mean nothing to them.",
          "Only the worker container is started, not \"proxy\"."));
}

TEST(WorkerCommandTest, AConnectionOfThePoolsOwnMeansNothingHere) {
  WorkerPool pool = PoolWith("{containers: [{name: w, command: [sh], image: w}]}");
  pool.nats = pool.lanes.front().nats =
      PoolNats{.url = "tls://elsewhere", .credentials = {"secret", "user.creds"}};
  const Result<WorkerCommand> command = Read(pool);
  ASSERT_TRUE(command) << command.error().message;
  EXPECT_THAT(command->left_out, Contains(HasSubstr("spec.nats means nothing here")));
  EXPECT_THAT(command->settings,
              Contains(std::pair<std::string, std::string>(kEnvNatsUrl, "nats://127.0.0.1:4333")));
  for (const auto& [name, value] : command->settings) EXPECT_NE(name, kEnvNatsCredentials);
}

TEST(WorkerCommandTest, AnImagesOwnCommandIsRefusedWithTheRemedy) {
  const Result<WorkerCommand> command = Read(PoolWith("{containers: [{name: w, image: w}]}"));
  ASSERT_FALSE(command);
  EXPECT_EQ(command.error().kind, ErrorKind::kInvalid);
  EXPECT_THAT(command.error().message, HasSubstr("lane short: container \"w\" has no command"));
}

TEST(WorkerCommandTest, AProgramThatIsNotThereIsRefusedByName) {
  const Result<WorkerCommand> command =
      Read(PoolWith("{containers: [{name: w, image: w, command: [no-such-program]}]}"));
  ASSERT_TRUE(command) << command.error().message;
  const Result<handlers::Command> started = CommandFor(*command, "w", {}, "/bin");
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().kind, ErrorKind::kInvalid);
  EXPECT_THAT(started.error().message, HasSubstr("\"no-such-program\""));
}

TEST(WorkerCommandTest, VariablesAreExpandedAsInAPod) {
  const Variables variables{{"A", "1"}, {"B", "$(A)"}};
  const std::pair<const char*, const char*> rows[] = {
      {"x$(A)y", "x1y"},      {"$(B)", "$(A)"}, {"$(C)", "$(C)"}, {"$$(A)", "$(A)"},
      {"$A ${A}", "$A ${A}"}, {"$(A", "$(A"},   {"$", "$"},       {"$()", "$()"},
  };
  for (const auto& [text, expanded] : rows) EXPECT_EQ(ExpandVariables(text, variables), expanded);
}

}  // namespace
}  // namespace lanekeeper
