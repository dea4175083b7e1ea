#include "operator/operator_metrics.h"

#include <prometheus/text_serializer.h>

#include <charconv>
#include <initializer_list>
#include <limits>
#include <utility>

namespace lanekeeper {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

struct GaugeName {
  const char* name;
  const char* help;
};

// In the order of LaneNumbers::gauges.
constexpr std::array<GaugeName, 11> kGauges = {{
    {"lanekeeper_lane_waiting_jobs", "Jobs never delivered."},
    {"lanekeeper_lane_running_jobs", "Jobs that a handler has."},
    {"lanekeeper_lane_parked_jobs", "Jobs that wait out a retry delay."},
    {"lanekeeper_lane_oldest_wait_seconds", "Age of the oldest waiting job."},
    {"lanekeeper_lane_dead_letters", "Dead letters of the lane."},
    {"lanekeeper_lane_workers_desired", "Workers the platform is asked for."},
    {"lanekeeper_lane_workers_ready", "Workers that are ready."},
    {"lanekeeper_lane_workers_busy", "Workers with a running job, by their own reports."},
    {"lanekeeper_lane_workers_unschedulable", "Workers the platform has no room for."},
    {"lanekeeper_lane_predicted_wait_seconds",
     "How long a job that comes now waits before it starts; -1: not known."},
    {"lanekeeper_lane_sampled", "1 while the lane's numbers can be trusted, else 0."},
}};

constexpr std::array<double, 8> kPassBounds = {0.0001, 0.001, 0.005, 0.01, 0.05, 0.25, 1.0, 5.0};

MetricFamily Family(const std::string& name, const std::string& help, MetricType type) {
  MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = type;
  return family;
}

ClientMetric CounterOf(std::vector<ClientMetric::Label> labels, double value) {
  ClientMetric metric;
  metric.label = std::move(labels);
  metric.counter.value = value;
  return metric;
}

}  // namespace

void OperatorMetrics::AddCounter(std::string name, std::string help, std::function<double()> read) {
  const std::lock_guard lock(mutex_);
  numbers_.push_back({MetricType::Counter, std::move(name), std::move(help), std::move(read)});
}

void OperatorMetrics::AddGauge(std::string name, std::string help, std::function<double()> read) {
  const std::lock_guard lock(mutex_);
  numbers_.push_back({MetricType::Gauge, std::move(name), std::move(help), std::move(read)});
}

void OperatorMetrics::OnLane(const LaneKey& key, const LaneStatus& status, scaling::Doubt doubt) {
  const std::lock_guard lock(mutex_);
  lanes_[key].gauges = {static_cast<double>(status.waiting),
                        static_cast<double>(status.running),
                        static_cast<double>(status.parked),
                        static_cast<double>(status.oldest_wait_seconds),
                        static_cast<double>(status.dead_letters),
                        static_cast<double>(status.workers_desired),
                        static_cast<double>(status.workers_ready),
                        static_cast<double>(status.workers_busy),
                        static_cast<double>(status.workers_unschedulable),
                        static_cast<double>(status.predicted_wait_seconds),
                        doubt == scaling::Doubt::kNone ? 1.0 : 0.0};
}

void OperatorMetrics::OnScaled(const LaneKey& key, int workers_from,
                               const scaling::ScalingDecision& decision) {
  const std::lock_guard lock(mutex_);
  const std::string_view direction = decision.workers > workers_from ? "up" : "down";
  ++lanes_[key].scaled[{direction, scaling::ToString(decision.reason)}];
}

void OperatorMetrics::OnReleased(const LaneKey& key, int workers) {
  const std::lock_guard lock(mutex_);
  lanes_[key].released += workers;
}

void OperatorMetrics::OnInterrupted(const LaneKey& key, int jobs) {
  const std::lock_guard lock(mutex_);
  lanes_[key].interrupted += jobs;
}

void OperatorMetrics::OnForget(const LaneKey& key) {
  const std::lock_guard lock(mutex_);
  lanes_.erase(key);
}

void OperatorMetrics::OnPass(std::chrono::nanoseconds took) {
  const double seconds = std::chrono::duration<double>(took).count();
  const std::lock_guard lock(mutex_);
  ++passes_;
  pass_seconds_ += seconds;
  for (std::size_t n = 0; n < kPassBounds.size(); ++n) {
    if (seconds <= kPassBounds[n]) ++pass_buckets_[n];
  }
}

void OperatorMetrics::OnError(const Error& error) {
  const std::lock_guard lock(mutex_);
  ++errors_[ToString(error.kind)];
}

// Prometheus' text format of series that have a lane. Names of lanes and reasons have nothing in
// them that would have to be escaped.
class OperatorMetrics::LaneText {
 public:
  explicit LaneText(std::size_t bytes) { text_.reserve(bytes); }

  void Begin(std::string_view name, std::string_view help, std::string_view type) {
    name_ = name;
    Append({"# HELP ", name, " ", help, "\n# TYPE ", name, " ", type, "\n"});
  }
  void Add(const LaneKey& key, double value, std::string_view more_labels = {}) {
    Append({name_, "{namespace=\"", key.pool_namespace, "\",pool=\"", key.pool, "\",lane=\"",
            key.lane, "\"", more_labels, "} "});
    char digits[32];
    const auto end = std::to_chars(digits, digits + sizeof(digits), value).ptr;
    text_.append(digits, end);
    text_ += '\n';
  }
  std::string Take() && { return std::move(text_); }

 private:
  void Append(std::initializer_list<std::string_view> pieces) {
    for (const std::string_view piece : pieces) text_ += piece;
  }
  std::string text_;
  std::string_view name_;
};

std::string OperatorMetrics::Text() const {
  // Of one lane with names of a usual length; a text that grows would be there twice meanwhile.
  constexpr std::size_t kBytesPerLane = (kGauges.size() + 2) * 112;
  constexpr std::size_t kBytesOfTheRest = 16 * 1024;
  const std::lock_guard lock(mutex_);
  LaneText text(lanes_.size() * kBytesPerLane + kBytesOfTheRest);
  WriteLanes(text);
  return std::move(text).Take() + prometheus::TextSerializer().Serialize(Totals());
}

void OperatorMetrics::WriteLanes(LaneText& text) const {
  for (std::size_t n = 0; n < kGauges.size(); ++n) {
    text.Begin(kGauges[n].name, kGauges[n].help, "gauge");
    for (const auto& [key, lane] : lanes_) text.Add(key, lane.gauges[n]);
  }
  text.Begin("lanekeeper_lane_scaled_total",
             "Changes of the worker count, by direction and reason.", "counter");
  for (const auto& [key, lane] : lanes_) {
    for (const auto& [why, count] : lane.scaled) {
      text.Add(key, count,
               ",direction=\"" + std::string(why.first) + "\",reason=\"" + std::string(why.second) +
                   "\"");
    }
  }
  text.Begin("lanekeeper_workers_released_total",
             "Workers given back after they were drained, or before they had started.", "counter");
  for (const auto& [key, lane] : lanes_) text.Add(key, lane.released);
  text.Begin("lanekeeper_jobs_interrupted_total",
             "Running jobs whose worker was told to end by scaling. Stays at 0.", "counter");
  for (const auto& [key, lane] : lanes_) text.Add(key, lane.interrupted);
}

std::vector<MetricFamily> OperatorMetrics::Totals() const {
  std::vector<MetricFamily> families;
  MetricFamily errors = Family("lanekeeper_reconcile_errors_total",
                               "Calls of a pass that failed, by kind.", MetricType::Counter);
  for (const auto& [kind, count] : errors_) {
    errors.metric.push_back(CounterOf({{"kind", std::string(kind)}}, count));
  }
  families.push_back(std::move(errors));

  MetricFamily passes = Family("lanekeeper_reconcile_seconds", "How long a pass over a pool took.",
                               MetricType::Histogram);
  ClientMetric histogram;
  histogram.histogram.sample_count = passes_;
  histogram.histogram.sample_sum = pass_seconds_;
  for (std::size_t n = 0; n < kPassBounds.size(); ++n) {
    histogram.histogram.bucket.push_back({pass_buckets_[n], kPassBounds[n]});
  }
  histogram.histogram.bucket.push_back({passes_, std::numeric_limits<double>::infinity()});
  passes.metric.push_back(std::move(histogram));
  families.push_back(std::move(passes));

  for (const ReadNumber& number : numbers_) {
    MetricFamily family = Family(number.name, number.help, number.type);
    ClientMetric metric;
    (number.type == MetricType::Gauge ? metric.gauge.value : metric.counter.value) = number.read();
    family.metric.push_back(std::move(metric));
    families.push_back(std::move(family));
  }
  return families;
}

}  // namespace lanekeeper
