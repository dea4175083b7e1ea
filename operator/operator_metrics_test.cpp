#include "operator/operator_metrics.h"

#include <gtest/gtest.h>

#include <set>
#include <sstream>
#include <string>

namespace lanekeeper {
namespace {

const LaneKey kLane{"studio", "media", "short"};

std::string Scrape(const OperatorMetrics& metrics) { return metrics.Text(); }

bool Has(const std::string& text, const std::string& line) {
  return text.find(line + "\n") != std::string::npos;
}

TEST(OperatorMetrics, LaneIsASeriesWithItsNames) {
  OperatorMetrics metrics;
  metrics.OnLane(kLane, {.name = "short", .waiting = 201, .workers_desired = 13},
                 scaling::Doubt::kNone);
  const std::string text = Scrape(metrics);
  const std::string labels = R"({namespace="studio",pool="media",lane="short"})";
  EXPECT_TRUE(Has(text, "lanekeeper_lane_waiting_jobs" + labels + " 201")) << text;
  EXPECT_TRUE(Has(text, "lanekeeper_lane_workers_desired" + labels + " 13"));
  EXPECT_TRUE(Has(text, "lanekeeper_lane_sampled" + labels + " 1"));
}

TEST(OperatorMetrics, EverySeriesNameIsDescribedOnceBeforeItsSeries) {
  OperatorMetrics metrics;
  metrics.OnLane(kLane, {}, scaling::Doubt::kNone);
  metrics.OnLane({"studio", "media", "long"}, {}, scaling::Doubt::kNone);
  metrics.OnScaled(kLane, 0, {.workers = 2, .reason = scaling::ScalingReason::kBacklogGrew});
  std::istringstream text(Scrape(metrics));
  std::set<std::string> described;
  std::string current;
  for (std::string line; std::getline(text, line);) {
    std::istringstream words(line);
    std::string hash, type, name;
    if (line.rfind("# TYPE ", 0) == 0) {
      words >> hash >> type >> name;
      EXPECT_TRUE(described.insert(name).second) << name;
      current = name;
    } else if (line.rfind("#", 0) != 0) {
      EXPECT_EQ(line.rfind(current, 0), 0U) << line << " does not belong to " << current;
    }
  }
  EXPECT_EQ(described.count("lanekeeper_lane_sampled"), 1U);
}

TEST(OperatorMetrics, InterruptedJobsAreThereBeforeTheFirstAndCounted) {
  OperatorMetrics metrics;
  const std::string labels = R"({namespace="studio",pool="media",lane="short"})";
  metrics.OnLane(kLane, {}, scaling::Doubt::kNone);
  EXPECT_TRUE(Has(Scrape(metrics), "lanekeeper_jobs_interrupted_total" + labels + " 0"));
  metrics.OnReleased(kLane, 3);
  metrics.OnInterrupted(kLane, 2);
  EXPECT_TRUE(Has(Scrape(metrics), "lanekeeper_jobs_interrupted_total" + labels + " 2"));
  EXPECT_TRUE(Has(Scrape(metrics), "lanekeeper_workers_released_total" + labels + " 3"));
}

TEST(OperatorMetrics, DoubtfulLaneIsNotSampled) {
  OperatorMetrics metrics;
  metrics.OnLane(kLane, {}, scaling::Doubt::kStale);
  EXPECT_TRUE(Has(Scrape(metrics),
                  R"(lanekeeper_lane_sampled{namespace="studio",pool="media",lane="short"} 0)"));
}

TEST(OperatorMetrics, ForgottenLaneLeavesNoSeries) {
  OperatorMetrics metrics;
  metrics.OnLane(kLane, {}, scaling::Doubt::kNone);
  metrics.OnScaled(kLane, 0, {.workers = 2, .reason = scaling::ScalingReason::kBacklogGrew});
  metrics.OnForget(kLane);
  EXPECT_EQ(Scrape(metrics).find("pool=\"media\""), std::string::npos);
}

TEST(OperatorMetrics, ScalingIsCountedByDirectionAndReason) {
  OperatorMetrics metrics;
  metrics.OnScaled(kLane, 0, {.workers = 2, .reason = scaling::ScalingReason::kBacklogGrew});
  metrics.OnScaled(kLane, 2, {.workers = 5, .reason = scaling::ScalingReason::kBacklogGrew});
  metrics.OnScaled(kLane, 5, {.workers = 0, .reason = scaling::ScalingReason::kBacklogShrank});
  const std::string text = Scrape(metrics);
  EXPECT_NE(text.find(R"(direction="up",reason="BacklogGrew"} 2)"), std::string::npos) << text;
  EXPECT_NE(text.find(R"(direction="down",reason="BacklogShrank"} 1)"), std::string::npos);
}

TEST(OperatorMetrics, ForeignGaugeIsAGauge) {
  OperatorMetrics metrics;
  metrics.AddGauge("lanekeeper_leader", "Leads.", [] { return 1.0; });
  const std::string text = Scrape(metrics);
  EXPECT_TRUE(Has(text, "# TYPE lanekeeper_leader gauge")) << text;
  EXPECT_TRUE(Has(text, "lanekeeper_leader 1"));
}

TEST(OperatorMetrics, PassesErrorsAndForeignCountersAreThere) {
  OperatorMetrics metrics;
  metrics.OnPass(std::chrono::milliseconds(2));
  metrics.OnError({ErrorKind::kForbidden, "no"});
  metrics.AddCounter("lanekeeper_api_writes_total", "Writes.", [] { return 7.0; });
  const std::string text = Scrape(metrics);
  EXPECT_TRUE(Has(text, "lanekeeper_reconcile_seconds_count 1")) << text;
  EXPECT_TRUE(Has(text, R"(lanekeeper_reconcile_seconds_bucket{le="0.001"} 0)"));
  EXPECT_TRUE(Has(text, R"(lanekeeper_reconcile_seconds_bucket{le="0.005"} 1)"));
  EXPECT_TRUE(Has(text, R"(lanekeeper_reconcile_errors_total{kind="forbidden"} 1)"));
  EXPECT_TRUE(Has(text, "lanekeeper_api_writes_total 7"));
}

}  // namespace
}  // namespace lanekeeper
