#include "operator/control/control_loop.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <mutex>
#include <thread>

#include "operator/control/fakes.h"

namespace lanekeeper {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const PoolKey kPool{"studio", "media"};

TEST(WorkQueue, ManyChangesOfOnePoolAreOnePass) {
  WorkQueue queue;
  for (int n = 0; n < 100; ++n) queue.Add(kPool);
  EXPECT_EQ(queue.Take(seconds(10)), kPool);
  EXPECT_EQ(queue.size(), 0U);
  EXPECT_FALSE(queue.Take(milliseconds(1)).has_value());
}

TEST(WorkQueue, EarlierMomentWins) {
  WorkQueue queue;
  queue.AddAt(kPool, std::chrono::steady_clock::now() + seconds(1000));
  queue.Add(kPool);
  queue.AddAt(kPool, std::chrono::steady_clock::now() + seconds(1000));
  EXPECT_EQ(queue.Take(seconds(10)), kPool);
}

TEST(WorkQueue, TakeWaitsForTheMoment) {
  WorkQueue queue;
  queue.AddAt(kPool, std::chrono::steady_clock::now() + seconds(1000));
  EXPECT_FALSE(queue.Take(milliseconds(1)).has_value());
  const auto moment = std::chrono::steady_clock::now() + milliseconds(30);
  queue.AddAt(kPool, moment);
  EXPECT_EQ(queue.Take(seconds(100)), kPool);
  EXPECT_GE(std::chrono::steady_clock::now(), moment);
}

// The wait looked at the moment of an entry that was gone by then.
TEST(WorkQueue, AnEntryMayBeMovedWhileItIsWaitedFor) {
  for (int n = 0; n < 20; ++n) {
    WorkQueue queue;
    queue.AddAt(kPool, std::chrono::steady_clock::now() + seconds(50));
    std::thread taker([&queue] { EXPECT_EQ(queue.Take(seconds(100)), kPool); });
    std::this_thread::sleep_for(milliseconds(5));  // So that it waits; right without, too.
    queue.Add(kPool);
    taker.join();
  }
}

TEST(WorkQueue, CloseEndsTheWait) {
  WorkQueue queue;
  std::thread closer([&queue] { queue.Close(); });
  EXPECT_FALSE(queue.Take(seconds(100)).has_value());
  closer.join();
}

TEST(WorkQueue, ChangesAreTakenInTheOrderTheyCame) {
  WorkQueue queue;
  const PoolKey last{"studio", "aaa"};
  queue.Add(kPool);
  queue.Add(last);
  queue.Add(kPool);  // It keeps its place.
  EXPECT_EQ(queue.Take(seconds(10)), kPool);
  EXPECT_EQ(queue.Take(seconds(10)), last);
}

TEST(WorkQueue, ManyChangesDoNotKeepWhatIsDueWaiting) {
  WorkQueue queue;
  const PoolKey due{"studio", "due"};
  for (int n = 0; n < 10; ++n) queue.Add({"studio", "changed-" + std::to_string(n)});
  queue.AddAt(due, std::chrono::steady_clock::now());
  EXPECT_NE(queue.Take(seconds(10)), due);
  EXPECT_EQ(queue.Take(seconds(10)), due);
  EXPECT_EQ(queue.size(), 9U);
}

TEST(WorkQueue, ManyThatAreDueDoNotKeepAChangeWaiting) {
  WorkQueue queue;
  for (int n = 0; n < 10; ++n) {
    queue.AddAt({"studio", "due-" + std::to_string(n)}, std::chrono::steady_clock::now());
  }
  queue.Add(kPool);
  EXPECT_EQ(queue.Take(seconds(10)), kPool);
}

// The platform as a second thread may look at it.
class WatchedObserver final : public ReconcileObserver {
 public:
  void OnScaled(const LaneKey&, int, const scaling::ScalingDecision& decision) override {
    const std::lock_guard lock(mutex_);
    workers_ = decision.workers;
    changed_.notify_all();
  }
  bool AwaitWorkers(int workers) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, seconds(60), [&] { return workers_ == workers; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int workers_ = -1;
};

TEST(ControlLoop, SampleLeadsToScalingAndStopWaits) {
  FakePoolSource source;
  FakeLaneProbe probe;
  FakeQueues queues;
  FakePlatform platform;
  SystemClock clock;
  WatchedObserver observer;
  ControlLoop loop(source, probe, queues, platform, clock, &observer);
  loop.Start();
  EXPECT_FALSE(loop.synced());

  auto pool = std::make_shared<WorkerPool>();
  pool->key = kPool;
  pool->generation = 1;
  pool->lanes.resize(1);
  pool->lanes[0].name = "short";
  source.callbacks.on_pool(pool);
  source.callbacks.on_synced();
  EXPECT_TRUE(loop.synced());

  LaneSample sample;
  sample.doubt = scaling::Doubt::kNone;
  sample.waiting = 40;
  probe.Set({"studio", "media", "short"}, sample);
  EXPECT_TRUE(observer.AwaitWorkers(5));
  loop.Stop();
  loop.Stop();
  EXPECT_EQ(platform.workloads.size(), 1U);
}

TEST(ControlLoop, BoardIsToldWhatPoolsThereAreOnceAllAreKnown) {
  FakePoolSource source;
  FakeLaneProbe probe;
  FakeQueues queues;
  FakePlatform platform;
  SystemClock clock;
  FakePoolBoard board;
  ControlLoop loop(source, probe, queues, platform, clock, nullptr, nullptr, &board);
  loop.Start();
  auto pool = std::make_shared<WorkerPool>();
  pool->key = kPool;
  source.callbacks.on_pool(pool);
  source.callbacks.on_invalid({"studio", "broken"}, {ErrorKind::kInvalid, "no lanes"});
  EXPECT_FALSE(board.kept.has_value());
  source.callbacks.on_synced();
  loop.Stop();
  EXPECT_EQ(board.kept, (std::vector<PoolKey>{{"studio", "broken"}, kPool}));
}

// The first set-up of a queue waits to be let go; how many lanes were listened to is noted at each.
class GatedQueues final : public Queues {
 public:
  explicit GatedQueues(const FakeLaneProbe& probe) : probe_(probe) {}
  Result<void> Ensure(const WorkerPool&, const Lane&) override {
    std::unique_lock lock(mutex_);
    listened_.push_back(probe_.probed().size());
    changed_.notify_all();
    changed_.wait_for(lock, seconds(60), [&] { return open_; });
    return {};
  }
  Result<void> RemoveLane(const LaneKey&) override { return {}; }
  Result<void> RemoveDeadLetters(const PoolKey&) override { return {}; }

  void Open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  // How many lanes were listened to at the `number`th set-up; waits for it.
  std::size_t ListenedAt(std::size_t number) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, seconds(60), [&] { return listened_.size() >= number; });
    return listened_.size() < number ? 0 : listened_[number - 1];
  }

 private:
  const FakeLaneProbe& probe_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::size_t> listened_;
  bool open_ = false;
};

TEST(ControlLoop, ListensToAllLanesOfBeforeWhateverTheFirstPassTakes) {
  FakePoolSource source;
  FakeLaneProbe probe;
  GatedQueues queues(probe);
  FakePlatform platform;
  SystemClock clock;
  ControlLoop loop(source, probe, queues, platform, clock, nullptr);
  loop.Start();
  for (const char* name : {"one", "two", "three", "new"}) {
    auto pool = std::make_shared<WorkerPool>();
    pool->key = {"studio", name};
    pool->has_finalizer = std::string(name) != "new";
    pool->lanes.resize(1);
    pool->lanes[0].name = "short";
    source.callbacks.on_pool(pool);
  }
  EXPECT_EQ(queues.ListenedAt(1), 1U);
  source.callbacks.on_synced();
  queues.Open();
  EXPECT_EQ(queues.ListenedAt(2), 3U) << "not to the new one: it has no queue to listen to";
  loop.Stop();
}

TEST(ControlLoop, FailedPassIsTriedAgain) {
  FakePoolSource source;
  FakeLaneProbe probe;
  FakeQueues queues;
  FakePlatform platform;
  platform.observe_failures = 3;
  SystemClock clock;
  WatchedObserver observer;
  ControlLoop loop(source, probe, queues, platform, clock, &observer);
  auto pool = std::make_shared<WorkerPool>();
  pool->key = kPool;
  pool->lanes.resize(1);
  pool->lanes[0].name = "short";
  LaneSample sample;
  sample.doubt = scaling::Doubt::kNone;
  sample.waiting = 8;
  probe.Set({"studio", "media", "short"}, sample);
  loop.Start();
  source.callbacks.on_pool(pool);  // The only change: nothing but the retry brings a second pass.
  EXPECT_TRUE(observer.AwaitWorkers(1));
  loop.Stop();
  EXPECT_EQ(platform.observe_failures, 0);
}

}  // namespace
}  // namespace lanekeeper
