// The operator's Prometheus metrics. Lanes are kept as plain numbers and turned into series only
// when somebody scrapes, straight into text: ten thousand lanes cost little while nobody looks, and
// some 15 MiB for a moment when somebody does.
#pragma once

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

class OperatorMetrics final : public ReconcileObserver {
 public:
  // A count that another room keeps, read at every scrape. `read` is called from the HTTP thread.
  void AddCounter(std::string name, std::string help, std::function<double()> read);
  // The same for what may fall.
  void AddGauge(std::string name, std::string help, std::function<double()> read);

  // ReconcileObserver: reconcile thread.
  void OnLane(const LaneKey& key, const LaneStatus& status, scaling::Doubt doubt) override;
  void OnScaled(const LaneKey& key, int workers_from,
                const scaling::ScalingDecision& decision) override;
  void OnReleased(const LaneKey& key, int workers) override;
  void OnInterrupted(const LaneKey& key, int jobs) override;
  void OnForget(const LaneKey& key) override;
  void OnPass(std::chrono::nanoseconds took) override;
  void OnError(const Error& error) override;

  // Everything, in Prometheus' text format. HTTP thread.
  std::string Text() const;

 private:
  class LaneText;
  struct LaneNumbers {
    std::array<double, 11> gauges{};
    double released = 0;
    double interrupted = 0;
    std::map<std::pair<std::string_view, std::string_view>, double> scaled;  // (direction, reason)
  };
  struct ReadNumber {
    prometheus::MetricType type;
    std::string name;
    std::string help;
    std::function<double()> read;
  };

  // Precondition of both: mutex_ is held.
  void WriteLanes(LaneText& text) const;
  std::vector<prometheus::MetricFamily> Totals() const;

  mutable std::mutex mutex_;
  std::map<LaneKey, LaneNumbers> lanes_;
  std::vector<ReadNumber> numbers_;
  std::map<std::string_view, double> errors_;  // By kind.
  std::array<std::uint64_t, 8> pass_buckets_{};
  std::uint64_t passes_ = 0;
  double pass_seconds_ = 0;
};

}  // namespace lanekeeper
