// The baseline against what the sources of KEDA and of the HPA say, step by step.
#include "operator/simulate/keda_scaler.h"

#include <gtest/gtest.h>

namespace lanekeeper::simulate {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

// `count` jobs of `service` that all come at `at`.
std::vector<LaneJob> Jobs(int count, seconds at, Duration service) {
  return std::vector<LaneJob>(static_cast<std::size_t>(count), LaneJob{at, service});
}

class Bench {
 public:
  Bench(KedaSettings settings, std::vector<LaneJob> jobs, int workers = 0) : scaler_({settings}) {
    lanes_.emplace_back(Crewing{1, seconds(1)}, std::move(jobs), workers);
  }
  int At(seconds until) {
    for (; now_ <= Duration(until); now_ += kStep) {
      lanes_[0].AdvanceTo(now_);
      scaler_.Step(now_, lanes_);
    }
    return lanes_[0].asked();
  }
  const SimulatedLane& lane() const { return lanes_[0]; }

 private:
  KedaScaler scaler_;
  std::vector<SimulatedLane> lanes_;
  Duration now_{0};
};

TEST(KedaScalerTest, FromZeroItIsOneAtTheNextPollThenPlusFourThenTwice) {
  Bench bench(KedaDefault(), Jobs(200, seconds(31), hours(2)));
  EXPECT_EQ(bench.At(seconds(59)), 0);
  EXPECT_EQ(bench.At(seconds(60)), 5) << "one by activation, four by the HPA in the same second";
  EXPECT_EQ(bench.At(seconds(74)), 5);
  EXPECT_EQ(bench.At(seconds(75)), 10);
  EXPECT_EQ(bench.At(seconds(90)), 20);
  EXPECT_EQ(bench.At(seconds(105)), 40);
  EXPECT_EQ(bench.At(seconds(120)), 80);
  EXPECT_EQ(bench.At(seconds(135)), 100) << "maxReplicaCount";
}

TEST(KedaScalerTest, TunedPollsEverySecond) {
  Bench bench(KedaTuned(), Jobs(3, seconds(31), hours(2)));
  EXPECT_EQ(bench.At(seconds(31)), 1);
  EXPECT_EQ(bench.At(seconds(45)), 3);
}

TEST(KedaScalerTest, WithinTenPercentNothingChanges) {
  Bench bench(KedaDefault(), Jobs(21, seconds(1), hours(2)), 20);
  EXPECT_EQ(bench.At(seconds(60)), 20);
  Bench over(KedaDefault(), Jobs(23, seconds(1), hours(2)), 20);
  EXPECT_EQ(over.At(seconds(60)), 23);
}

TEST(KedaScalerTest, ShrinksToTheHighestOfTheWindowAndCutsBusyOnes) {
  std::vector<LaneJob> jobs = Jobs(10, seconds(1), hours(2));
  const std::vector<LaneJob> shorter = Jobs(10, seconds(1), seconds(40));
  jobs.insert(jobs.begin(), shorter.begin(), shorter.end());  // On the older workers.
  KedaSettings settings = KedaTuned();
  settings.grace = seconds(0);
  Bench bench(settings, jobs, 20);
  EXPECT_EQ(bench.At(seconds(95)), 20) << "20 were asked for at second 30";
  EXPECT_EQ(bench.At(seconds(120)), 10);
  EXPECT_EQ(bench.lane().kills(), 10) << "the youngest were the busy ones";
}

TEST(KedaScalerTest, GoesToZeroAfterTheCooldown) {
  Bench bench(KedaTuned(), Jobs(1, seconds(1), seconds(10)));
  EXPECT_EQ(bench.At(seconds(60)), 1);
  EXPECT_EQ(bench.At(seconds(80)), 0);
}

TEST(KedaScalerTest, KeepsTheMinimum) {
  KedaSettings settings = KedaTuned();
  settings.replicas_min = 2;
  Bench bench(settings, Jobs(5, seconds(1), seconds(10)), 2);
  EXPECT_EQ(bench.At(seconds(300)), 2);
}

}  // namespace
}  // namespace lanekeeper::simulate
