// What the gateway counts about itself, for Prometheus. Any thread.
#pragma once

#include <prometheus/collectable.h>
#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/histogram.h>
#include <prometheus/metric_family.h>
#include <prometheus/registry.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "worker-runtime/gateway/problem.h"

namespace lanekeeper::gateway {

class HttpMetrics final : public prometheus::Collectable {
 public:
  HttpMetrics();

  // `route`: "POST /v1/pools/{namespace}/{pool}/jobs"; a closed set.
  void OnAnswer(const std::string& route, int status, std::chrono::nanoseconds took);
  void OnRefusal(ProblemType cause);
  enum class SubmitResult { kAccepted, kKnown, kRefused };
  void OnSubmit(SubmitResult result);

  // Numbers that others keep, read at every scrape on the thread that scrapes.
  void AddGauge(std::string name, std::string help, std::function<double()> read);
  void AddCounter(std::string name, std::string help, std::function<double()> read);

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  struct Route {
    prometheus::Histogram* seconds = nullptr;
    std::unordered_map<int, prometheus::Counter*> by_status;
  };
  struct Reader {
    std::string name;
    std::string help;
    prometheus::MetricType type = prometheus::MetricType::Gauge;
    std::function<double()> read;
  };

  prometheus::Registry registry_;
  prometheus::Family<prometheus::Counter>& requests_;
  prometheus::Family<prometheus::Histogram>& seconds_;
  prometheus::Family<prometheus::Counter>& submits_;
  prometheus::Family<prometheus::Counter>& refusals_;
  prometheus::Counter& accepted_;
  prometheus::Counter& known_;
  prometheus::Counter& refused_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Route> routes_;
  std::vector<Reader> readers_;
};

}  // namespace lanekeeper::gateway
