#include "worker-runtime/nats/worker_report_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace lanekeeper::nats {
namespace {

using nlohmann::json;

json Good() { return json::parse(WriteWorkerReport({.worker = "w-1", .slots = 8, .running = 3})); }

TEST(WorkerReportJson, ReadsBackWhatItWrote) {
  for (const WorkerState state : {WorkerState::kRunning, WorkerState::kDraining,
                                  WorkerState::kDrained, WorkerState::kStopped}) {
    const WorkerReport report{.worker = "media-short-abc",
                              .state = state,
                              .slots = 8,
                              .running = 3,
                              .done = 1'000'000'000'000,
                              .failed = 2,
                              .dead = 1};
    const auto read = ReadWorkerReport(WriteWorkerReport(report));
    ASSERT_TRUE(read.has_value()) << read.error().message;
    EXPECT_EQ(*read, report);
  }
}

TEST(WorkerReportJson, IgnoresUnknownFieldsAndMissingCounts) {
  json report = Good();
  report["from the future"] = {{"a", 1}};
  report.erase("done");
  EXPECT_TRUE(ReadWorkerReport(report.dump()).has_value());
}

TEST(WorkerReportJson, NamesTheFieldThatIsNonsense) {
  const std::vector<std::pair<const char*, json>> bad = {
      {"worker", ""},      {"worker", 3},      {"worker", std::string(300, 'a')},
      {"state", "asleep"}, {"state", nullptr}, {"slots", 0},
      {"slots", 100'001},  {"slots", "8"},     {"slots", 1e300},
      {"running", -1},     {"running", 9},     {"running", 1.5},
      {"done", -1},        {"failed", "x"},    {"dead", 18'446'744'073'709'551'615ULL},
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
        "{\"worker\":\"" + std::string(5000, 'a') + "\"}"}) {
    EXPECT_FALSE(ReadWorkerReport(text).has_value());
  }
}

TEST(WorkerReportJson, WritesANameThatIsNoText) {
  EXPECT_FALSE(WriteWorkerReport({.worker = "\xff"}).empty());
}

}  // namespace
}  // namespace lanekeeper::nats
