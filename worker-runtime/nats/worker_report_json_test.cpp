#include "worker-runtime/nats/worker_report_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace lanekeeper::nats {
namespace {

using nlohmann::json;

json Good() { return json::parse(WriteWorkerReport({.worker = "w-1", .slots = 8, .running = 3})); }

ServiceCounts Counts(std::initializer_list<std::pair<std::size_t, std::uint64_t>> pairs) {
  ServiceCounts counts{};
  for (const auto& [bucket, count] : pairs) counts[bucket] = count;
  return counts;
}

TEST(WorkerReportJson, ReadsBackWhatItWrote) {
  for (const WorkerState state : {WorkerState::kRunning, WorkerState::kDraining,
                                  WorkerState::kDrained, WorkerState::kStopped}) {
    const WorkerReport report{
        .worker = "media-short-abc",
        .state = state,
        .slots = 8,
        .running = 3,
        .done = 1'000'000'000'000,
        .failed = 2,
        .dead = 1,
        .oldest_running = std::chrono::hours(400),
        .service = Counts({{0, 5}, {12, 1'000'000'000'000}, {127, 1}}),
        .types = {{"film", {{0, 5}, {12, 1'000'000'000'000}}}, {"", {{127, 1}}}}};
    const auto read = ReadWorkerReport(WriteWorkerReport(report));
    ASSERT_TRUE(read.has_value()) << read.error().message;
    EXPECT_EQ(*read, report);
  }
}

TEST(WorkerReportJson, SaysOfAWorkerThatItEndsAndNothingOfOthers) {
  EXPECT_FALSE(Good().contains("ending"));
  const WorkerReport report{.worker = "w", .state = WorkerState::kDraining, .ending = true};
  const auto read = ReadWorkerReport(WriteWorkerReport(report));
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(*read, report);
  json bad = Good();
  bad["ending"] = "yes";
  EXPECT_EQ(ReadWorkerReport(bad.dump()).error().message, "worker report: ending");
}

TEST(WorkerReportJson, IgnoresUnknownFieldsAndMissingCounts) {
  json report = Good();
  report["from the future"] = {{"a", 1}};
  report.erase("done");
  EXPECT_TRUE(ReadWorkerReport(report.dump()).has_value());
}

TEST(WorkerReportJson, ReadsReportsOfWorkersThatDoNotSayHowLongJobsTook) {
  const auto read = ReadWorkerReport(R"({"v":1,"worker":"w","state":"running","slots":8,"running":3,
                                        "done":10,"failed":1,"dead":0})");
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(*read,
            (WorkerReport{.worker = "w", .slots = 8, .running = 3, .done = 10, .failed = 1}));
}

TEST(WorkerReportJson, WritesOnlyBucketsInUse) {
  const json report = json::parse(WriteWorkerReport(
      {.worker = "w", .oldest_running = std::chrono::seconds(42), .service = Counts({{3, 9}})}));
  EXPECT_EQ(report["service"], json::parse("[[3,9]]"));
  EXPECT_EQ(report["oldest_running_seconds"], 42);
}

TEST(WorkerReportJson, WritesTypesInOneLineEach) {
  const json report = json::parse(
      WriteWorkerReport({.worker = "w", .types = {{"thumbnail", {{12, 7}}}, {"film", {{40, 3}}}}}));
  EXPECT_EQ(report["types"], json::parse(R"([["thumbnail",[[12,7]]],["film",[[40,3]]]])"));
  EXPECT_FALSE(Good().contains("types"));
}

TEST(WorkerReportJson, LeastUsedTypesAreLeftOutSoThatOlderReadersTakeIt) {
  WorkerReport report{.worker = "w"};
  report.service.fill(std::uint64_t{1} << 53);
  for (std::size_t n = 0; n < kReportTypesMax; ++n) {
    std::string type = std::to_string(n);
    type.resize(128, 't');
    report.types.push_back({type, {{1, 1'000'000'000'000}, {2, 3}, {100, 5}}});
  }
  const std::string text = WriteWorkerReport(report);
  EXPECT_LE(text.size(), 8192U);
  const auto read = ReadWorkerReport(text);
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_GE(read->types.size(), 10U);
  EXPECT_LT(read->types.size(), kReportTypesMax);
  report.types.resize(read->types.size());
  EXPECT_EQ(*read, report);
}

TEST(WorkerReportJson, TheLargestReportCanBeRead) {
  constexpr std::int64_t kMost = std::int64_t{1} << 53;
  WorkerReport report{.worker = std::string(253, '"'),
                      .state = WorkerState::kDraining,
                      .slots = 100'000,
                      .running = 100'000,
                      .done = kMost,
                      .failed = kMost,
                      .dead = kMost,
                      .oldest_running = std::chrono::seconds(kMost)};
  report.service.fill(kMost);
  const auto read = ReadWorkerReport(WriteWorkerReport(report));
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(*read, report);
}

TEST(WorkerReportJson, NamesTheFieldThatIsNonsense) {
  const std::vector<std::pair<const char*, json>> bad = {
      {"worker", ""},
      {"worker", 3},
      {"worker", std::string(300, 'a')},
      {"state", "asleep"},
      {"state", nullptr},
      {"slots", 0},
      {"slots", 100'001},
      {"slots", "8"},
      {"slots", 1e300},
      {"running", -1},
      {"running", 9},
      {"running", 1.5},
      {"done", -1},
      {"failed", "x"},
      {"dead", 18'446'744'073'709'551'615ULL},
      {"oldest_running_seconds", -1},
      {"service", "many"},
      {"service", json::parse("[3]")},
      {"service", json::parse("[[3]]")},
      {"service", json::parse("[[128,1]]")},
      {"service", json::parse("[[-1,1]]")},
      {"service", json::parse("[[3,-1]]")},
      {"service", json::parse("[[3,1.5]]")},
      {"service", json::parse("[[3,1],[3,1]]")},
      {"types", "many"},
      {"types", json::parse(R"(["a"])")},
      {"types", json::parse(R"([["a"]])")},
      {"types", json::parse(R"([[1,[]]])")},
      {"types", json::parse(R"([["a",[[128,1]]]])")},
      {"types", json::parse(R"([["a",[]],["a",[]]])")},
      {"types", json::array({json::array({std::string(129, 'a'), json::array()})})},
      {"types", json::array_t(33, json::array({"a", json::array()}))},
  };
  for (const auto& [field, value] : bad) {
    json report = Good();
    report[field] = value;
    const auto read = ReadWorkerReport(report.dump());
    ASSERT_FALSE(read.has_value()) << field << " " << value;
    EXPECT_EQ(read.error().kind, ErrorKind::kInvalid);
    EXPECT_NE(read.error().message.find(field), std::string::npos) << read.error().message;
  }
}

TEST(WorkerReportJson, RefusesWhatIsNoReport) {
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[]"), std::string("\xff\xfe"),
        "{\"worker\":\"" + std::string(17000, 'a') + "\"}"}) {
    EXPECT_FALSE(ReadWorkerReport(text).has_value());
  }
}

TEST(WorkerReportJson, WritesANameThatIsNoText) {
  EXPECT_FALSE(WriteWorkerReport({.worker = "\xff"}).empty());
}

}  // namespace
}  // namespace lanekeeper::nats
