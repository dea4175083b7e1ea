#include "worker-runtime/runner/task_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <numeric>
#include <thread>
#include <vector>

namespace lanekeeper::runner {
namespace {

using std::chrono::nanoseconds;
using std::chrono::seconds;

// Threads that do with each task what the test says.
class Takers {
 public:
  Takers(int count, TaskQueue<int>& queue, std::function<nanoseconds(int)> work) {
    for (int n = 0; n < count; ++n) {
      threads_.emplace_back([&queue, work] {
        std::optional<nanoseconds> took;
        while (const std::optional<int> task = queue.Pop(took)) took = work(*task);
      });
    }
  }

 private:
  std::vector<std::jthread> threads_;
};

TEST(TaskQueueTest, HandsOutEveryTaskOnceAlsoAfterItsEnd) {
  TaskQueue<int> queue;
  std::atomic<std::int64_t> sum{0};
  {
    const Takers takers(8, queue, [&sum](int task) {
      sum += task;
      return nanoseconds(100);
    });
    for (int n = 1; n <= 20'000; ++n) queue.Push(n);
    queue.Close();
  }
  EXPECT_EQ(sum, 20'000LL * 20'001 / 2);
}

// Two threads are busy for good, and were thought to be quick: the others take over.
TEST(TaskQueueTest, TasksDoNotWaitBehindThoseThatTurnOutLong) {
  TaskQueue<int> queue;
  std::atomic<int> at_once{0};
  std::atomic<bool> release{false};
  {
    const Takers takers(8, queue, [&](int task) {
      if (task == 0) return nanoseconds(100);
      ++at_once;
      while (!release) std::this_thread::yield();
      return nanoseconds(seconds(1));
    });
    for (int n = 0; n < 1000; ++n) queue.Push(0);  // Quick ones.
    for (int n = 0; n < 8; ++n) queue.Push(1);
    const auto deadline = std::chrono::steady_clock::now() + seconds(60);
    while (at_once < 8 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    EXPECT_EQ(at_once, 8);
    release = true;
    queue.Close();
  }
}

TEST(TaskQueueTest, ClosingAnEmptyQueueEndsAllThreads) {
  TaskQueue<int> queue;
  const Takers takers(8, queue, [](int) { return nanoseconds(0); });
  queue.Close();
}

}  // namespace
}  // namespace lanekeeper::runner
