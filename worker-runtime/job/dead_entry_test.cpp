#include "worker-runtime/job/dead_entry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "worker-runtime/job/rfc3339.h"
#include "worker-runtime/job/settlement.h"

namespace lanekeeper {
namespace {

using std::chrono::seconds;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using testing::UnorderedElementsAre;

const WallTime kDiedAt{seconds(2'000'000'000)};

JobMessage DeadJob(Headers headers = {}, std::string payload = "body") {
  return {.stream = "LK_studio_media_short",
          .sequence = 7,
          .stored_at = kDiedAt - seconds(60),
          .payload = std::move(payload),
          .headers = std::move(headers)};
}

const DeadLetter kAttemptsUsedUp{.reason = "attempts-used-up",
                                 .message = "renderer away",
                                 .error_class = "RenderError",
                                 .output = {"line 1", "said \"no\" to C:\\x"},
                                 .attempts = 5,
                                 .crashes = 1,
                                 .first_started_at = kDiedAt - seconds(50)};
const DeadOrigin kLastWorker{.worker = "w-1", .time = FormatRfc3339(kDiedAt)};

// As it lies in the dead-letter stream.
std::vector<JobMessage> Stored(const JobMessage& job, const DeadLetter& letter = kAttemptsUsedUp,
                               std::size_t bytes_max = 1 << 20) {
  std::vector<JobMessage> stored;
  for (OutMessage& part : EncodeDeadLetter(job, letter, kLastWorker, bytes_max)) {
    stored.push_back({.stream = "LK_studio_media_DEAD",
                      .sequence = 40 + stored.size(),
                      .stored_at = kDiedAt + seconds(1),
                      .payload = std::move(part.payload),
                      .headers = std::move(part.headers)});
  }
  return stored;
}

DeadEntry Entry(const JobMessage& job, const DeadLetter& letter = kAttemptsUsedUp) {
  return ReadDeadEntry(Stored(job, letter).at(0), "short");
}

TEST(ReadDeadEntryTest, IsTheOppositeOfEncodeDeadLetter) {
  const DeadEntry entry = Entry(
      DeadJob({{"Nats-Msg-Id", "a"}, {"Lk-Type", "thumbnail"}, {"X-Own", "1"}, {"X-Own", "2"}}));
  EXPECT_EQ(entry, (DeadEntry{.stream = "LK_studio_media_DEAD",
                              .sequence = 40,
                              .lane = "short",
                              .job_id = "a",
                              .type = "thumbnail",
                              .payload = "body",
                              .payload_bytes = 4,
                              .headers = {{"Lk-Type", "thumbnail"}, {"X-Own", "1"}, {"X-Own", "2"}},
                              .reason = "attempts-used-up",
                              .error_class = "RenderError",
                              .message = "renderer away",
                              .output = {"line 1", "said \"no\" to C:\\x"},
                              .attempts = 5,
                              .crashes = 1,
                              .first_started_at = kDiedAt - seconds(50),
                              .died_at = kDiedAt,
                              .worker = "w-1",
                              .job_stream = "LK_studio_media_short",
                              .job_sequence = 7}));
}

TEST(ReadDeadEntryTest, AMessageSomebodyElseWroteIsAnEntryToo) {
  const DeadEntry entry =
      ReadDeadEntry({.stream = "D", .sequence = 3, .stored_at = kDiedAt}, "short");
  EXPECT_EQ(entry.job_id, "D.3");
  EXPECT_EQ(entry.died_at, kDiedAt);
  EXPECT_EQ(entry.first_started_at, std::nullopt);
}

struct OutputCase {
  const char* name;
  std::string header;
  std::vector<std::string> lines;
};
void PrintTo(const OutputCase& row, std::ostream* out) { *out << row.name; }

class DeadOutputTest : public testing::TestWithParam<OutputCase> {};

TEST_P(DeadOutputTest, ReadsLinesOrShowsWhatIsThere) {
  const JobMessage letter{.stream = "D", .headers = {{"Lk-Dead-Output", GetParam().header}}};
  EXPECT_EQ(ReadDeadEntry(letter, "short").output, GetParam().lines);
}

INSTANTIATE_TEST_SUITE_P(Rows, DeadOutputTest,
                         testing::Values(OutputCase{"Nothing", "", {}},
                                         OutputCase{"NoLine", "[]", {}},
                                         OutputCase{"AnEmptyLine", R"([""])", {""}},
                                         OutputCase{"TwoLines", R"(["a","b"])", {"a", "b"}},
                                         OutputCase{"Escapes", R"(["\"\\,\"]"])", {R"("\,"])"}},
                                         OutputCase{"NoArray", "plain", {"plain"}},
                                         OutputCase{"OneBracket", "[", {"["}},
                                         OutputCase{"AnOpenString", R"(["a])", {R"(["a])"}},
                                         OutputCase{"AnOpenEscape", R"(["\])", {R"(["\])"}},
                                         OutputCase{"AComma", R"(["a",])", {R"(["a",])"}},
                                         OutputCase{"NoComma", R"(["a""b"])", {R"(["a""b"])"}},
                                         OutputCase{"Numbers", "[1,2]", {"[1,2]"}}),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(ReadDeadEntryTest, TellsTheTwoPartsOfALargeJobApart) {
  const std::string payload(4000, 'x');
  const auto stored = Stored(DeadJob({{"Lk-Type", "big"}}, payload), kAttemptsUsedUp, 4096);
  ASSERT_EQ(stored.size(), 2u);
  const DeadEntry first = ReadDeadEntry(stored[0], "short");
  const DeadEntry second = ReadDeadEntry(stored[1], "short");
  EXPECT_EQ(first.part, DeadPart::kFirst);
  EXPECT_EQ(second.part, DeadPart::kSecond);
  EXPECT_EQ(first.payload + second.payload, payload);
  EXPECT_TRUE(IsSecondPartOf(second, first));
  EXPECT_FALSE(IsSecondPartOf(first, second));
  DeadEntry of_another = second;
  of_another.job_sequence = 8;
  EXPECT_FALSE(IsSecondPartOf(of_another, first));
}

TEST(FingerprintTest, NeverChanges) {
  EXPECT_EQ(Fingerprint({}), "08547e07b5084555");
  EXPECT_EQ(Fingerprint({.type = "thumbnail", .error_class = "E", .message = "no disk"}),
            "c30e1ce0c1f7acc0");
}

TEST(FingerprintTest, IsOfTypeErrorClassAndFirstLine) {
  const DeadEntry entry{.type = "a", .error_class = "b", .message = "c"};
  const auto changed = [entry](auto change) {
    DeadEntry other = entry;
    change(other);
    return Fingerprint(other);
  };
  const std::string same = Fingerprint(entry);
  EXPECT_EQ(changed([](DeadEntry& e) { e.message = "c\nat line 7"; }), same);
  EXPECT_EQ(changed([](DeadEntry& e) { e.job_id = "x", e.lane = "y", e.reason = "z"; }), same);
  EXPECT_NE(changed([](DeadEntry& e) { e.type = "x"; }), same);
  EXPECT_NE(changed([](DeadEntry& e) { e.error_class = "x"; }), same);
  EXPECT_NE(changed([](DeadEntry& e) { e.message = "x"; }), same);
  EXPECT_NE(changed([](DeadEntry& e) { e.type = "b", e.error_class = "a"; }), same);
}

TEST(DeadFilterTest, WhatIsLeftOutMatchesEverything) {
  const DeadEntry entry{.lane = "short", .type = "", .reason = "rejected", .message = "no"};
  EXPECT_TRUE(Matches({}, entry));
  EXPECT_TRUE(Matches({.lane = "short", .type = "", .reason = "rejected"}, entry));
  EXPECT_TRUE(Matches({.fingerprint = Fingerprint(entry)}, entry));
  EXPECT_FALSE(Matches({.lane = "long"}, entry));
  EXPECT_FALSE(Matches({.type = "thumbnail"}, entry));
  EXPECT_FALSE(Matches({.lane = "short", .reason = "attempts-used-up"}, entry));
  EXPECT_FALSE(Matches({.fingerprint = "08547e07b5084555"}, entry));
}

TEST(EncodeReplayTest, PublishesTheJobAsItWas) {
  const OutMessage replay = EncodeReplay(
      Entry(DeadJob({{"Nats-Msg-Id", "a"}, {"Lk-Type", "t"}, {"X-Own", "1"}})), kDiedAt);
  EXPECT_EQ(replay.payload, "body");
  EXPECT_THAT(replay.headers,
              UnorderedElementsAre(Pair("Nats-Msg-Id", "LK_studio_media_DEAD.40.replay"),
                                   Pair("Lk-Job-Id", "a"), Pair("Lk-Replay", "1"),
                                   Pair("Lk-Type", "t"), Pair("X-Own", "1")));
}

TEST(EncodeReplayTest, CountsEveryReplayAndKeepsTheFirstId) {
  JobMessage job = DeadJob();  // Without an id of its own.
  for (int replays = 1; replays <= 3; ++replays) {
    const OutMessage replay = EncodeReplay(Entry(job), kDiedAt);
    job.headers = replay.headers;
    job.sequence += 10;
    EXPECT_EQ(FindHeader(replay.headers, "Lk-Replay"), std::to_string(replays));
    EXPECT_EQ(DecodeHead(job)->id, "LK_studio_media_short.7");
  }
}

// The job is put in another place each time; its name stays the one its producer was told.
TEST(EncodeReplayTest, KeepsTheIdThatNamedTheFirstPlace) {
  JobMessage job = DeadJob({{"Nats-Msg-Id", "k3x9qa2bxx"}, {"Lk-Job-Id", "*.k3x9qa2b"}});
  for (int replays = 1; replays <= 3; ++replays) {
    job.headers = EncodeReplay(Entry(job), kDiedAt).headers;
    job.sequence += 10;
    EXPECT_EQ(DecodeHead(job)->id, "LK_studio_media_short.7.k3x9qa2b");
  }
}

TEST(EncodeReplayTest, ADeadlineTravelsUntilItHasPassed) {
  const DeadEntry entry = Entry(DeadJob({{"lk-deadline", FormatRfc3339(kDiedAt + seconds(5))}}));
  EXPECT_TRUE(FindHeader(EncodeReplay(entry, kDiedAt).headers, "Lk-Deadline"));
  EXPECT_FALSE(FindHeader(EncodeReplay(entry, kDiedAt + seconds(5)).headers, "Lk-Deadline"));
}

// What the lane makes of a replay: settlement.h decides, and must see another
// life of the same id.
class ReplayReceiptTest : public testing::Test {
 protected:
  static JobMessage Delivered(const OutMessage& replay) {
    return {.stream = "LK_studio_media_short",
            .sequence = 21,
            .stored_at = kDiedAt + seconds(30),
            .payload = replay.payload,
            .headers = replay.headers};
  }
  static Receipt Receive(const JobMessage& message, const std::optional<JobRecord>& record) {
    const JobHead head = *DecodeHead(message);
    return DecideReceipt(kPolicy,
                         {.message = message, .head = head, .worker = "w-2", .instance = "i"},
                         record, std::nullopt, kDiedAt + seconds(31));
  }
  static inline const SettlementPolicy kPolicy{.attempts_max = 5, .crashes_max = 2};
  const JobRecord dead_{.id = "a",
                        .state = JobState::kDead,
                        .sequence = 7,
                        .stored_at = kDiedAt - seconds(60),
                        .attempts = 5,
                        .crashes = 1,
                        .runs = 6,
                        .first_started_at = kDiedAt - seconds(50),
                        .ended_at = kDiedAt,
                        .dead_reason = "attempts-used-up"};
};

TEST_F(ReplayReceiptTest, BudgetsBeginAnewAndTheHistoryIsKept) {
  const JobMessage again =
      Delivered(EncodeReplay(Entry(DeadJob({{"Nats-Msg-Id", "a"}})), kDiedAt + seconds(30)));
  const Receipt receipt = Receive(again, dead_);
  ASSERT_TRUE(std::holds_alternative<Start>(receipt));
  const JobRecord& record = std::get<Start>(receipt).record;
  EXPECT_EQ(record.id, "a");
  EXPECT_EQ(record.attempts, 0);
  EXPECT_EQ(record.crashes, 0);
  EXPECT_EQ(record.runs, 1);
  EXPECT_THAT(record.history, ElementsAre(PastLife{.state = JobState::kDead,
                                                   .reason = "attempts-used-up",
                                                   .attempts = 5,
                                                   .crashes = 1,
                                                   .ended_at = kDiedAt}));
}

TEST_F(ReplayReceiptTest, AJobThatHadOverrunItsFirstLaneRunsAgainToo) {
  JobRecord dead = dead_;
  dead.moved_from = "tiny.3";
  const DeadEntry entry = Entry(
      DeadJob({{"Nats-Msg-Id", "tiny.3.moved"}, {"Lk-Job-Id", "a"}, {"Lk-Moved-From", "tiny.3"}}));
  const Receipt receipt = Receive(Delivered(EncodeReplay(entry, kDiedAt)), dead);
  EXPECT_TRUE(std::holds_alternative<Start>(receipt)) << "acknowledged without having run";
}

TEST_F(ReplayReceiptTest, AJobThatDiedOfItsDeadlineRuns) {
  const DeadEntry entry =
      Entry(DeadJob({{"Nats-Msg-Id", "a"}, {"Lk-Deadline", FormatRfc3339(kDiedAt - seconds(1))}}));
  EXPECT_TRUE(
      std::holds_alternative<Start>(Receive(Delivered(EncodeReplay(entry, kDiedAt)), dead_)));
}

TEST(DeadGroupingTest, CountsTheSameTroubleOnce) {
  DeadGrouping grouping(10);
  const auto entry = [](std::uint64_t sequence, const char* message, int died) {
    return DeadEntry{.sequence = sequence,
                     .job_id = "job-" + std::to_string(sequence),
                     .type = "t",
                     .error_class = "E",
                     .message = message,
                     .died_at = kDiedAt + seconds(died)};
  };
  grouping.Add(entry(3, "rare", 0));
  grouping.Add(entry(9, "often\nat 9", 3));
  grouping.Add(entry(5, "often", 1));
  const DeadGroups groups = grouping.Groups();
  EXPECT_EQ(groups.rest, 0);
  ASSERT_EQ(groups.groups.size(), 2u);
  EXPECT_EQ(groups.groups[0], (DeadGroup{.fingerprint = Fingerprint(entry(0, "often", 0)),
                                         .type = "t",
                                         .error_class = "E",
                                         .message = "often",
                                         .count = 2,
                                         .oldest = kDiedAt + seconds(1),
                                         .newest = kDiedAt + seconds(3),
                                         .example_sequence = 9,
                                         .example_job_id = "job-9"}));
  EXPECT_EQ(groups.groups[1].count, 1);
}

TEST(DeadGroupingTest, HoldsOnlySoManyGroups) {
  DeadGrouping grouping(2);
  for (int i = 0; i < 100; ++i) {
    grouping.Add({.sequence = 1, .message = "order " + std::to_string(i % 10)});
  }
  const DeadGroups groups = grouping.Groups();
  EXPECT_EQ(groups.groups.size(), 2u);
  EXPECT_EQ(groups.groups[0].count, 10);
  EXPECT_EQ(groups.rest, 80);
}

}  // namespace
}  // namespace lanekeeper
