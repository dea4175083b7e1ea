#include "worker-runtime/runner/task_queue.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <numeric>
#include <set>
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

// Bursts fast enough for naps, with ends between them: each burst is through before the next comes.
TEST(TaskQueueTest, NothingIsLeftLyingWhenFastTasksStopComing) {
  TaskQueue<int> queue;
  std::atomic<int> done{0};
  {
    const Takers takers(8, queue, [&done](int) {
      ++done;
      return nanoseconds(100);
    });
    int pushed = 0;
    for (int burst = 0; burst < 200; ++burst) {
      for (int n = 0; n < 500; ++n, ++pushed) queue.Push(n);
      const auto deadline = std::chrono::steady_clock::now() + seconds(60);
      while (done < pushed && std::chrono::steady_clock::now() < deadline) {
        std::this_thread::yield();
      }
      EXPECT_EQ(done, pushed) << "after burst " << burst;
      if (done != pushed) break;
      std::this_thread::sleep_for(std::chrono::microseconds(burst * 5));
    }
    queue.Close();
  }
}

TEST(TaskQueueTest, TasksThatComeOneByOneAreTakenByFewThreads) {
  constexpr int kThreads = 32;
  constexpr int kTasks = 300;
  TaskQueue<int> queue;
  std::mutex mutex;
  std::set<std::thread::id> takers_seen;
  std::atomic<int> done{0};
  {
    const Takers takers(kThreads, queue, [&](int task) {
      if (task != 0) {
        const std::lock_guard lock(mutex);
        takers_seen.insert(std::this_thread::get_id());
      }
      ++done;
      return nanoseconds(100);
    });
    for (int n = 0; n < 1000; ++n) queue.Push(0);  // Now they are known to be quick.
    while (done < 1000) std::this_thread::yield();
    for (int n = 1; n <= kTasks; ++n) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));  // They lie down again.
      queue.Push(n);
      while (done < 1000 + n) std::this_thread::yield();
    }
    queue.Close();
  }
  EXPECT_LT(takers_seen.size(), kThreads / 2U);
}

TEST(TaskQueueTest, ClosingAnEmptyQueueEndsAllThreads) {
  TaskQueue<int> queue;
  const Takers takers(8, queue, [](int) { return nanoseconds(0); });
  queue.Close();
}

}  // namespace
}  // namespace lanekeeper::runner
