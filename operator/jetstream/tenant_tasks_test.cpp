#include "operator/jetstream/tenant_tasks.h"

#include <gtest/gtest.h>

#include <atomic>
#include <future>

#include "worker-runtime/base/testing/eventually.h"

namespace lanekeeper {
namespace {

using std::chrono::milliseconds;

Result<void> Ok() { return {}; }

TEST(TenantTasks, AQuickCallHasItsResultSoonerOrLater) {
  TenantTasks tasks;
  EXPECT_TRUE(Eventually([&] { return tasks.Do("a", Ok).has_value(); }));
}

TEST(TenantTasks, AnErrorIsHandedOn) {
  TenantTasks tasks;
  const auto call = []() -> Result<void> { return Fail(ErrorKind::kForbidden, "no"); };
  EXPECT_TRUE(Eventually([&] {
    const Result<void> result = tasks.Do("a", call);
    return !result && result.error().kind == ErrorKind::kForbidden;
  }));
}

TEST(TenantTasks, ASlowCallIsMadeOnceAndItsResultIsKept) {
  TenantTasks tasks;
  std::promise<void> go;
  std::shared_future<void> gone = go.get_future().share();
  std::atomic<int> calls{0};
  const auto slow = [&]() -> Result<void> {
    ++calls;
    gone.wait();
    return {};
  };
  for (int i = 0; i < 3; ++i) {
    const Result<void> result = tasks.Do("slow", slow);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().kind, ErrorKind::kRetryable);
  }
  go.set_value();
  ASSERT_TRUE(Eventually([&] { return tasks.idle(); }));
  EXPECT_TRUE(tasks.Do("slow", slow));
  EXPECT_EQ(calls, 1);
}

TEST(TenantTasks, NobodyWaitsBehindASlowCall) {
  TenantTasks tasks;
  std::promise<void> go;
  std::shared_future<void> gone = go.get_future().share();
  static_cast<void>(tasks.Do("slow", [&]() -> Result<void> {
    gone.wait();
    return {};
  }));
  std::atomic<bool> made{false};
  const auto quick = [&]() -> Result<void> {
    made = true;
    return {};
  };
  // Each of a thousand would wait its patience otherwise: more than four minutes.
  for (int i = 0; i < 1000; ++i) EXPECT_FALSE(tasks.Do("quick", quick));
  EXPECT_FALSE(made);
  go.set_value();
  EXPECT_TRUE(Eventually([&] { return made.load(); }));
}

TEST(TenantTasks, AWordThatCameTooLateIsNotSaid) {
  TenantTasks tasks;
  std::promise<void> go;
  std::shared_future<void> gone = go.get_future().share();
  static_cast<void>(tasks.Do("slow", [&]() -> Result<void> {
    gone.wait();
    return {};
  }));
  std::atomic<bool> said{false};
  tasks.Say([&] { said = true; });
  std::this_thread::sleep_for(TenantTasks::kFresh + milliseconds(50));
  go.set_value();
  ASSERT_TRUE(Eventually([&] { return tasks.idle(); }));
  EXPECT_FALSE(said);
}

TEST(TenantTasks, WhatWaitsIsBoundedAndTheThreadEnds) {
  TenantTasks tasks;
  std::promise<void> begun;
  std::promise<void> go;
  std::shared_future<void> gone = go.get_future().share();
  std::atomic<int> calls{0};
  static_cast<void>(tasks.Do("slow", [&]() -> Result<void> {
    begun.set_value();
    gone.wait();
    return {};
  }));
  begun.get_future().wait();  // So that it waits no more itself.
  for (std::size_t i = 0; i < 3 * TenantTasks::kWaitingMax; ++i) {
    static_cast<void>(tasks.Do(std::to_string(i), [&]() -> Result<void> {
      ++calls;
      return {};
    }));
  }
  go.set_value();
  ASSERT_TRUE(Eventually([&] { return tasks.idle(); }));
  EXPECT_EQ(calls, static_cast<int>(TenantTasks::kWaitingMax));
}

}  // namespace
}  // namespace lanekeeper
