// The operator's Prometheus metrics. Lanes are kept as plain numbers and turned into series only
// when somebody scrapes: ten thousand lanes cost little while nobody looks.
#pragma once

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "operator/control/reconcile_observer.h"

namespace lanekeeper {

class OperatorMetrics final : public ReconcileObserver, public prometheus::Collectable {
 public:
  // A count that another room keeps, read at every scrape. `read` is called from the HTTP thread.
  void AddCounter(std::string name, std::string help, std::function<double()> read);

  // ReconcileObserver: reconcile thread.
  void OnLane(const LaneKey& key, const LaneStatus& status, scaling::Doubt doubt) override;
  void OnScaled(const LaneKey& key, int workers_from,
                const scaling::ScalingDecision& decision) override;
  void OnReleased(const LaneKey& key, int workers) override;
  void OnInterrupted(const LaneKey& key, int jobs) override;
  void OnForget(const LaneKey& key) override;
  void OnPass(std::chrono::nanoseconds took) override;
  void OnError(const Error& error) override;

  // prometheus::Collectable: HTTP thread.
  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  struct LaneNumbers {
    std::array<double, 11> gauges{};
    double released = 0;
    double interrupted = 0;
    std::map<std::pair<std::string_view, std::string_view>, double> scaled;  // (direction, reason)
  };
  struct ReadCounter {
    std::string name;
    std::string help;
    std::function<double()> read;
  };

  mutable std::mutex mutex_;
  std::map<LaneKey, LaneNumbers> lanes_;
  std::vector<ReadCounter> counters_;
  std::map<std::string_view, double> errors_;  // By kind.
  std::array<std::uint64_t, 8> pass_buckets_{};
  std::uint64_t passes_ = 0;
  double pass_seconds_ = 0;
};

}  // namespace lanekeeper
