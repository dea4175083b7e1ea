// Watching jobs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "worker-runtime/gateway/testing/desk_fixture.h"

namespace lanekeeper::gateway {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

// What a watch has told.
class Told {
 public:
  std::function<void(const JobView&)> Ear() {
    return [this](const JobView& view) {
      const std::lock_guard lock(mutex_);
      views_.push_back(view);
    };
  }
  std::vector<JobView> views() const {
    const std::lock_guard lock(mutex_);
    return views_;
  }
  std::vector<std::string> states() const {
    std::vector<std::string> states;
    for (const JobView& view : views()) states.emplace_back(NameOf(view.state));
    return states;
  }
  bool Has(std::size_t count) const { return states().size() >= count; }
  // Waits for it.
  bool Last(const std::string& state) const {
    return nats::Eventually([&] {
      const auto all = states();
      return !all.empty() && all.back() == state;
    });
  }

 private:
  mutable std::mutex mutex_;
  std::vector<JobView> views_;
};

class JobDeskWatchTest : public DeskFixture {
 protected:
  // Hints have to do it: nothing is looked at again meanwhile.
  explicit JobDeskWatchTest(std::chrono::seconds recheck = std::chrono::hours(1))
      : DeskFixture({.recheck_interval = recheck, .watches_max = 2000}) {
    MakeLanes();
  }
  std::unique_ptr<JobWatch> Watch(const JobView& job, Told& told, std::uint64_t after = 0) {
    auto watch = desk_->Watch(job, after, told.Ear());
    EXPECT_TRUE(watch) << watch.error().detail;
    return watch ? *std::move(watch) : nullptr;
  }
};

class JobDeskRecheckTest : public JobDeskWatchTest {
 protected:
  JobDeskRecheckTest() : JobDeskWatchTest(std::chrono::seconds(1)) {}
};

TEST_F(JobDeskWatchTest, EveryChangeIsToldUntilTheLast) {
  const std::string id = Submit("short");
  Told told;
  const auto watch = Watch(*Find(id), told);
  ASSERT_TRUE(told.Last("waiting"));
  PutRecord("short", RecordOf(id, JobState::kRunning));
  ASSERT_TRUE(told.Last("running"));
  PutRecord("short", RecordOf(id, JobState::kWaiting));
  ASSERT_TRUE(told.Last("parked"));
  const std::uint64_t revision = PutRecord("short", RecordOf(id, JobState::kDone));
  ASSERT_TRUE(told.Last("done"));
  EXPECT_THAT(told.states(), ElementsAre("waiting", "running", "parked", "done"));
  EXPECT_EQ(told.views().back().revision, revision);
  EXPECT_EQ(desk_->Watches(), 1U);
}

TEST_F(JobDeskWatchTest, AWatchGoesOnAfterTheLastChangeItHasSeen) {
  const std::string id = Submit("short");
  const std::uint64_t first = PutRecord("short", RecordOf(id, JobState::kRunning));
  Told all;
  Told later;
  const auto watch_all = Watch(*Find(id), all);
  const auto watch_later = Watch(*Find(id), later, first);
  ASSERT_TRUE(all.Last("running"));
  const std::uint64_t second = PutRecord("short", RecordOf(id, JobState::kDone));
  ASSERT_TRUE(later.Last("done"));
  EXPECT_THAT(later.states(), ElementsAre("done"));
  // What has been missed is made up for at once.
  Told missed;
  const auto watch_missed = Watch(*Find(id), missed, first);
  ASSERT_TRUE(missed.Last("done"));
  Told nothing;
  const auto watch_nothing = Watch(*Find(id), nothing, second);
  Told again;
  const auto watch_again = Watch(*Find(id), again);
  ASSERT_TRUE(again.Last("done"));
  EXPECT_THAT(nothing.states(), IsEmpty());
}

TEST_F(JobDeskWatchTest, AMovedJobIsFollowed) {
  const std::string id = Submit("short");
  Told told;
  const auto watch = Watch(*Find(id), told);
  ASSERT_TRUE(told.Last("waiting"));
  PutRecord("short", RecordOf(id, JobState::kRunning));
  ASSERT_TRUE(told.Last("running"));
  JobRecord moved = RecordOf(id, JobState::kMoved);
  moved.moved_to = "long";
  PutRecord("short", moved);
  ASSERT_TRUE(told.Last("waiting"));
  EXPECT_EQ(told.views().back().lane, Lane("long"));
  // Somebody who comes now finds it where it is, and hears of it too.
  Told late;
  const auto watch_late = Watch(*Find(id), late);
  ASSERT_TRUE(late.Last("waiting"));
  PutRecord("long", RecordOf(id, JobState::kDone));
  ASSERT_TRUE(told.Last("done"));
  ASSERT_TRUE(late.Last("done"));
}

TEST_F(JobDeskWatchTest, ManyChangesMayBeOneButTheLastIsToldAndNoneGoesBack) {
  const std::string id = Submit("short");
  Told told;
  const auto watch = Watch(*Find(id), told);
  ASSERT_TRUE(told.Last("waiting"));
  for (int n = 1; n <= 500; ++n) {
    JobRecord record = RecordOf(id, n < 500 ? JobState::kRunning : JobState::kDone);
    record.progress = n / 500.0;
    ASSERT_TRUE(
        connection_->Publish(RecordSubject(Lane("short"), id), nats::WriteJobRecord(record)));
  }
  ASSERT_TRUE(told.Last("done"));
  std::uint64_t before = 0;
  for (const JobView& view : told.views()) {
    if (view.revision == 0) continue;
    EXPECT_GT(view.revision, before);
    before = view.revision;
  }
}

// The job changes while the desk is away: nobody hears it.
TEST_F(JobDeskWatchTest, AfterARestartOfTheServerNothingIsMissed) {
  // It comes back long after this test's own connection.
  const auto slow = nats::Connect(
      server_.url(), {.reconnect_wait = std::chrono::seconds(2), .shared_delivery = true});
  const auto desk = JobDesk::Start(*slow, pools_, {.recheck_interval = std::chrono::hours(1)});
  const std::string id = Submit("short");
  const std::string other = Submit("short");
  Told told;
  Told told_other;
  const auto watch = desk->Watch(*Find(id), 0, told.Ear());
  const auto watch_other = desk->Watch(*Find(other), 0, told_other.Ear());
  ASSERT_TRUE(watch && watch_other);
  ASSERT_TRUE(told.Last("waiting"));
  ASSERT_TRUE(told_other.Last("waiting"));
  server_.Stop();
  ASSERT_TRUE(nats::Eventually([&] { return !slow->Connected(); }));
  ASSERT_TRUE(server_.Start());
  ASSERT_TRUE(nats::Eventually([&] {
    return jetstream_
        .PublishAck(RecordSubject(Lane("short"), id),
                    nats::WriteJobRecord(RecordOf(id, JobState::kDone)))
        .has_value();
  }));
  ASSERT_TRUE(told.Last("done"));
  // Its ears are there again, too.
  PutRecord("short", RecordOf(other, JobState::kRunning, 2));
  ASSERT_TRUE(told_other.Last("running"));
}

TEST_F(JobDeskRecheckTest, AChangeThatNobodyHeardIsFound) {
  const std::string id = Submit("short");
  Told told;
  const auto watch = Watch(*Find(id), told);
  ASSERT_TRUE(told.Last("waiting"));
  // A transform stores it where no publish of that subject was heard.
  ASSERT_TRUE(jetstream_.DeleteStream(kRecordStream));
  ASSERT_TRUE(
      jetstream_.CreateStream(kRecordStream,
                              R"({"name":"KV_LK_jobs","subjects":["unheard.>"],"allow_direct":true,
          "subject_transform":{"src":"unheard.>","dest":"$KV.LK_jobs.>"}})"));
  const std::string heard_not = "unheard." + RecordSubject(Lane("short"), id).substr(12);
  ASSERT_TRUE(
      jetstream_.PublishAck(heard_not, nats::WriteJobRecord(RecordOf(id, JobState::kDone))));
  ASSERT_TRUE(told.Last("done"));
}

TEST_F(JobDeskRecheckTest, WhereOnlyFailuresAreRecordedAJobThatIsGoneIsDone) {
  const std::string id = Submit("quick");
  Told told;
  const auto watch = Watch(*Find(id), told);
  ASSERT_TRUE(told.Last("waiting"));
  const std::string reply = Deliver("quick");
  ASSERT_TRUE(told.Last("running"));
  Acknowledge(reply);
  ASSERT_TRUE(told.Last("done"));
  EXPECT_FALSE(told.views().back().gone);
}

TEST_F(JobDeskRecheckTest, WithoutRecordsAJobThatIsGoneIsNotSaidToBeDone) {
  const std::string id = Submit("bare");
  Told told;
  const auto watch = Watch(*Find(id), told);
  ASSERT_TRUE(told.Last("waiting"));
  const std::string reply = Deliver("bare");
  ASSERT_TRUE(told.Last("running"));
  Acknowledge(reply);
  ASSERT_TRUE(nats::Eventually([&] { return told.views().back().gone; }));
  EXPECT_EQ(told.states().back(), "running");
  EXPECT_TRUE(Over(told.views().back()));
}

TEST_F(JobDeskRecheckTest, AWaitingJobThatSomebodyRemovedIsGone) {
  const std::string id = Submit("short");
  Told told;
  const auto watch = Watch(*Find(id), told);
  ASSERT_TRUE(told.Last("waiting"));
  ASSERT_TRUE(jetstream_.DeleteMessage(JobStreamName(Lane("short")), 1));
  ASSERT_TRUE(nats::Eventually([&] { return told.views().back().gone; }));
  EXPECT_EQ(told.states().back(), "waiting");
}

TEST_F(JobDeskWatchTest, ACancelIsToldToWhoWatches) {
  const std::string id = Submit("short");
  Told told;
  const auto watch = Watch(*Find(id), told);
  ASSERT_TRUE(told.Last("waiting"));
  ASSERT_TRUE(Cancel(*Find(id)));
  ASSERT_TRUE(told.Last("cancelled"));
}

TEST_F(JobDeskWatchTest, AWatchThatHasEndedIsNotToldAnyMore) {
  const std::string id = Submit("short");
  auto ended = std::make_unique<Told>();
  Told told;
  auto watch = Watch(*Find(id), *ended);
  const auto other = Watch(*Find(id), told);
  ASSERT_TRUE(told.Last("waiting"));
  watch.reset();
  ended.reset();  // A call now would be seen by the sanitizers.
  EXPECT_EQ(desk_->Watches(), 1U);
  PutRecord("short", RecordOf(id, JobState::kDone));
  ASSERT_TRUE(told.Last("done"));
}

TEST_F(JobDeskWatchTest, WatchesAreBoundedAndPlacesAreGivenBack) {
  PutRecord("short", RecordOf("a", JobState::kRunning));
  const JobView job = *Find("a");
  Told told;
  std::vector<std::unique_ptr<JobWatch>> watches;
  for (int n = 0; n < 2000; ++n) watches.push_back(Watch(job, told, job.revision));
  const auto refused = desk_->Watch(job, 0, told.Ear());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().type, ProblemType::kTooManyRequests);
  EXPECT_TRUE(refused.error().retry_after);
  watches.pop_back();
  watches.push_back(Watch(job, told, job.revision));
  PutRecord("short", RecordOf("a", JobState::kDone));
  EXPECT_TRUE(nats::Eventually([&] { return told.Has(2000); }));
  EXPECT_THAT(told.states(), SizeIs(2000));
  watches.clear();
  EXPECT_EQ(desk_->Watches(), 0U);
}

TEST_F(JobDeskWatchTest, ManyJobsAreWatchedAtOnce) {
  constexpr int kJobs = 1000;
  std::vector<std::unique_ptr<Told>> told;
  std::vector<std::unique_ptr<JobWatch>> watches;
  for (int n = 0; n < kJobs; ++n) {
    const std::string id = "job-" + std::to_string(n);
    told.push_back(std::make_unique<Told>());
    watches.push_back(
        Watch({.id = id, .lane = Lane("short"), .state = ViewState::kRunning}, *told.back(), 1));
  }
  // Made up: no record yet, so they are looked for, and gone.
  for (int n = 0; n < kJobs; ++n) {
    ASSERT_TRUE(nats::Eventually([&] { return told[static_cast<std::size_t>(n)]->Has(1); })) << n;
  }
  for (int n = 0; n < kJobs; ++n) {
    ASSERT_TRUE(connection_->Publish(
        RecordSubject(Lane("short"), "job-" + std::to_string(n)),
        nats::WriteJobRecord(RecordOf("job-" + std::to_string(n), JobState::kDone))));
  }
  std::vector<std::unique_ptr<JobWatch>> others;
  Told seen;
  for (int n = 0; n < kJobs; ++n) {
    others.push_back(Watch({.id = "job-" + std::to_string(n), .lane = Lane("short")}, seen));
  }
  EXPECT_TRUE(nats::Eventually([&] { return seen.Has(kJobs); }));
}

TEST_F(JobDeskWatchTest, AWatchMayOutliveTheDesk) {
  const std::string id = Submit("short");
  Told told;
  const auto watch = Watch(*Find(id), told);
  ASSERT_TRUE(told.Last("waiting"));
  desk_.reset();
  PutRecord("short", RecordOf(id, JobState::kDone));
  EXPECT_THAT(told.states(), ElementsAre("waiting"));
}

}  // namespace
}  // namespace lanekeeper::gateway
