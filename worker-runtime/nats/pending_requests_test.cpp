#include "worker-runtime/nats/pending_requests.h"

#include <gtest/gtest.h>

#include <atomic>
#include <stdexcept>
#include <thread>

#include "worker-runtime/nats/gate.h"

namespace lanekeeper::nats {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(PendingRequests, AnAnswerReachesTheOneWhoAsked) {
  PendingRequests requests;
  const std::string first = requests.Begin("a");
  const std::string second = requests.Begin("b");
  std::thread answerer([&] { requests.Answer(second, {.payload = "for b"}); });
  EXPECT_EQ(requests.Wait(second, seconds(30))->payload, "for b");
  answerer.join();
  EXPECT_EQ(requests.Wait(first, milliseconds(0)).error().message, "timeout");
}

TEST(PendingRequests, OnlyTheFirstAnswerCountsAndLateOnesAreIgnored) {
  PendingRequests requests;
  const std::string token = requests.Begin("a");
  requests.Answer(token, {.payload = "1"});
  requests.Answer(token, {.payload = "2"});
  EXPECT_EQ(requests.Wait(token, seconds(30))->payload, "1");
  requests.Answer(token, {.payload = "late"});
  EXPECT_FALSE(requests.Wait(token, milliseconds(0)).has_value());
}

TEST(PendingRequests, ARefusalFailsOnlyItsSubject) {
  PendingRequests requests;
  const std::string refused = requests.Begin("secret");
  const std::string other = requests.Begin("open");
  requests.RefuseSubject("secret", {ErrorKind::kForbidden, "no"});
  EXPECT_EQ(requests.Wait(refused, seconds(30)).error().kind, ErrorKind::kForbidden);
  EXPECT_EQ(requests.Wait(other, milliseconds(0)).error().kind, ErrorKind::kRetryable);
}

TEST(PendingRequests, ALostConnectionFailsAll) {
  PendingRequests requests;
  const std::string token = requests.Begin("a");
  requests.FailAll({ErrorKind::kRetryable, "connection lost"});
  EXPECT_EQ(requests.Wait(token, seconds(30)).error().message, "connection lost");
}

TEST(Gate, NoCallRunsAfterShut) {
  Gate gate;
  std::atomic<bool> alive{true};
  std::atomic<int> calls{0};
  std::atomic<bool> stop{false};
  std::thread caller([&] {
    while (!stop) {
      gate.Run([&] {
        EXPECT_TRUE(alive);
        ++calls;
      });
    }
  });
  while (calls < 100) std::this_thread::yield();
  gate.Shut();
  alive = false;
  for (int i = 0; i < 100; ++i) std::this_thread::yield();
  stop = true;
  caller.join();
}

TEST(Gate, ACallMayShutItsOwnGate) {
  Gate gate;
  int calls = 0;
  for (int i = 0; i < 3; ++i) gate.Run([&] { ++calls, gate.Shut(); });
  EXPECT_EQ(calls, 1);
}

TEST(Gate, AHandlerThatThrowsDoesNoHarm) {
  Gate gate;
  int calls = 0;
  for (int i = 0; i < 3; ++i) {
    gate.Run([&] {
      ++calls;
      throw std::runtime_error("on purpose");
    });
  }
  EXPECT_EQ(calls, 3);
}

}  // namespace
}  // namespace lanekeeper::nats
