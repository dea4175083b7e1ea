#include "operator/jetstream/ledger_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace lanekeeper {
namespace {

using nlohmann::json;
using scaling::Doubt;
using scaling::ScalingReason;
using scaling::Term;
using testing::HasSubstr;

// No member has its default, and no two of a struct are the same: one that is forgotten, or read
// into another, is seen.
LedgerEntry Full() {
  return {
      .key = {"studio", "media", "short"},
      .time = WallTime(std::chrono::nanoseconds(1'795'646'467'123'456'789)),
      .policy = {.workers_min = 1,
                 .workers_max = 50,
                 .jobs_per_worker = 9'007'199'254'740'993,
                 .scale_down_window = std::chrono::milliseconds(15'001),
                 .window_cold_starts = 0.1,
                 .slots = 8,
                 .target_wait = std::chrono::milliseconds(120'000),
                 .paused = true},
      .observation = {.doubt = Doubt::kStale,
                      .waiting = std::numeric_limits<std::int64_t>::max(),
                      .running = 2,
                      .parked = 3,
                      .open_pulls = 4,
                      .ack_pending_max = 100'000,
                      .workers_current = 5,
                      .workers_busy = 6,
                      .workers_starting = 7,
                      .workers_stuck = 8,
                      .lane_paused = true,
                      .estimate = {.service_seconds_mean = 1.0 / 3,
                                   .service_seconds_p95 = 1e-300,
                                   .service_jobs = 17,
                                   .arrivals_per_second = 123456.789,
                                   .arrivals_per_second_high =
                                       std::numeric_limits<double>::infinity(),
                                   .cold_start_seconds = std::nextafter(30.0, 31.0),
                                   .slots_next = 3.5},
                      .peak_demand = 9},
      .decided = {.workers = 10,
                  .demand = 11,
                  .reason = ScalingReason::kHeldByWindow,
                  .limited = ScalingReason::kCappedAtMax,
                  .terms = {{Term::kDemand, 12}, {Term::kHold, 13}}},
      .applied = {.workers = 14,
                  .demand = 15,
                  .reason = ScalingReason::kHeldByBusy,
                  .terms = {{Term::kBusyFloor, 16}}},
      .observed_only = true,
      .sentence = "held \"up\"\nby ä",
      .leader = "operator-7f6_12ab",
      .epoch = 17,
  };
}

TEST(LedgerJson, ReadsBackExactlyWhatItWrote) {
  const auto read = ReadLedgerEntry(WriteLedgerEntry(Full()));
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(*read, Full());
}

TEST(LedgerJson, ReadsBackAnEmptyEntry) {
  const auto read = ReadLedgerEntry(WriteLedgerEntry({}));
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(*read, LedgerEntry{});
}

TEST(LedgerJson, EveryReasonTermAndDoubtComesBack) {
  LedgerEntry entry = Full();
  for (int n = 0; n <= static_cast<int>(ScalingReason::kPaused); ++n) {
    entry.applied.reason = static_cast<ScalingReason>(n);
    entry.decided.limited = static_cast<ScalingReason>(n);
    const auto read = ReadLedgerEntry(WriteLedgerEntry(entry));
    ASSERT_TRUE(read.has_value()) << read.error().message;
    EXPECT_EQ(*read, entry);
  }
  for (int n = 0; n <= static_cast<int>(Term::kPaused); ++n) {
    entry.applied.terms = {{static_cast<Term>(n), n}};
    const auto read = ReadLedgerEntry(WriteLedgerEntry(entry));
    ASSERT_TRUE(read.has_value()) << read.error().message;
    EXPECT_EQ(*read, entry);
  }
  for (int n = 0; n <= static_cast<int>(Doubt::kUnreadable); ++n) {
    entry.observation.doubt = static_cast<Doubt>(n);
    const auto read = ReadLedgerEntry(WriteLedgerEntry(entry));
    ASSERT_TRUE(read.has_value()) << read.error().message;
    EXPECT_EQ(*read, entry);
  }
}

TEST(LedgerJson, EntryOfOneOperatorNamesNoLeaderAndIsReadAsSuch) {
  const json entry = json::parse(WriteLedgerEntry({}));
  EXPECT_FALSE(entry.contains("leader"));
  EXPECT_FALSE(entry.contains("epoch"));
  json old = json::parse(WriteLedgerEntry(Full()));
  old.erase("leader");
  old.erase("epoch");
  const auto read = ReadLedgerEntry(old.dump());
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(read->leader, "");
  EXPECT_EQ(read->epoch, 0);
  EXPECT_EQ(read->sentence, Full().sentence);
}

TEST(LedgerJson, IgnoresFieldsItDoesNotKnow) {
  json entry = json::parse(WriteLedgerEntry(Full()));
  entry["from the future"] = 1;
  entry["policy"]["from the future"] = {1, 2};
  const auto read = ReadLedgerEntry(entry.dump());
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(*read, Full());
}

TEST(LedgerJson, ReadsEntriesOfBeforeThereWerePausedLanes) {
  json entry = json::parse(WriteLedgerEntry(Full()));
  entry["observation"].erase("lane_paused");
  LedgerEntry expected = Full();
  expected.observation.lane_paused = false;
  const auto read = ReadLedgerEntry(entry.dump());
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(*read, expected);
}

TEST(LedgerJson, NamesTheFieldThatIsMissing) {
  const json whole = json::parse(WriteLedgerEntry(Full()));
  // Every leaf but those that may be missing.
  const json flat = whole.flatten();
  for (const auto& [path, ignored] : flat.items()) {
    const json::json_pointer pointer(path);
    if (path.ends_with("/limited") || path.ends_with("/target_wait_ms")) continue;
    if (path.find("/terms/") != std::string::npos || path.ends_with("/lane_paused")) continue;
    if (path == "/leader" || path == "/epoch") continue;
    json entry = whole;
    entry[pointer.parent_pointer()].erase(pointer.back());
    const auto read = ReadLedgerEntry(entry.dump());
    ASSERT_FALSE(read.has_value()) << path;
    EXPECT_THAT(read.error().message, HasSubstr(pointer.back()));
  }
}

TEST(LedgerJson, NamesTheFieldThatIsNonsense) {
  const std::vector<std::pair<const char*, json>> bad = {
      {"/v", 2},
      {"/v", "1"},
      {"/time", "yesterday"},
      {"/epoch", "7"},
      {"/leader", 7},
      {"/lane", "studio"},
      {"/lane/pool", 1},
      {"/policy", nullptr},
      {"/policy/workers_min", 3'000'000'000},
      {"/policy/jobs_per_worker", 18'446'744'073'709'551'615ULL},
      {"/policy/slots", 1.5},
      {"/policy/target_wait_ms", "2m"},
      {"/policy/paused", 1},
      {"/observation/doubt", "Unknown"},
      {"/observation/doubt", ""},
      {"/observation/lane_paused", 1},
      {"/observation/estimate/cold_start_seconds", "soon"},
      {"/decided/reason", "Unknown"},
      {"/decided/limited", "Whim"},
      {"/decided/terms", json::object()},
      {"/decided/terms/0/term", "unknown"},
      {"/applied/terms/0/workers", nullptr},
      {"/sentence", 7},
  };
  for (const auto& [path, value] : bad) {
    json entry = json::parse(WriteLedgerEntry(Full()));
    const json::json_pointer pointer(path);
    entry[pointer] = value;
    const auto read = ReadLedgerEntry(entry.dump());
    ASSERT_FALSE(read.has_value()) << path << " " << value;
    EXPECT_EQ(read.error().kind, ErrorKind::kInvalid);
    EXPECT_THAT(read.error().message, HasSubstr(pointer.back())) << path << " " << value;
  }
}

TEST(LedgerJson, RefusesWhatIsNoEntry) {
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[]"), std::string("{}"),
        std::string("\xff\xfe"), "{\"v\":1,\"sentence\":\"" + std::string(70'000, 'a') + "\"}"}) {
    EXPECT_FALSE(ReadLedgerEntry(text).has_value());
  }
}

}  // namespace
}  // namespace lanekeeper
