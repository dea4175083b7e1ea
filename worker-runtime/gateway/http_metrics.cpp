#include "worker-runtime/gateway/http_metrics.h"

#include <utility>

namespace lanekeeper::gateway {
namespace {

const prometheus::Histogram::BucketBoundaries kSeconds{0.001, 0.002, 0.005, 0.01, 0.025, 0.05,
                                                       0.1,   0.25,  0.5,   1,    5,     30};

}  // namespace

HttpMetrics::HttpMetrics()
    : requests_(prometheus::BuildCounter()
                    .Name("lanekeeper_gateway_requests_total")
                    .Help("Requests that were answered.")
                    .Register(registry_)),
      seconds_(prometheus::BuildHistogram()
                   .Name("lanekeeper_gateway_request_seconds")
                   .Help("From the whole request to its answer; of streams, to their start.")
                   .Register(registry_)),
      submits_(prometheus::BuildCounter()
                   .Name("lanekeeper_gateway_submits_total")
                   .Help("Jobs handed in: accepted, known (an Idempotency-Key), refused.")
                   .Register(registry_)),
      refusals_(prometheus::BuildCounter()
                    .Name("lanekeeper_gateway_refusals_total")
                    .Help("Requests and lines of bulk requests that were answered with a problem.")
                    .Register(registry_)),
      accepted_(submits_.Add({{"result", "accepted"}})),
      known_(submits_.Add({{"result", "known"}})),
      refused_(submits_.Add({{"result", "refused"}})) {}

void HttpMetrics::OnAnswer(const std::string& route, int status, std::chrono::nanoseconds took) {
  const std::lock_guard lock(mutex_);
  Route& counted = routes_[route];
  if (counted.seconds == nullptr) counted.seconds = &seconds_.Add({{"route", route}}, kSeconds);
  prometheus::Counter*& counter = counted.by_status[status];
  if (counter == nullptr) {
    counter = &requests_.Add({{"route", route}, {"status", std::to_string(status)}});
  }
  counter->Increment();
  counted.seconds->Observe(std::chrono::duration<double>(took).count());
}

void HttpMetrics::OnRefusal(ProblemType cause) {
  refusals_.Add({{"cause", std::string(NameOf(cause))}}).Increment();
}

void HttpMetrics::OnSubmit(SubmitResult result) {
  prometheus::Counter& counter = result == SubmitResult::kAccepted ? accepted_
                                 : result == SubmitResult::kKnown  ? known_
                                                                   : refused_;
  counter.Increment();
}

void HttpMetrics::AddGauge(std::string name, std::string help, std::function<double()> read) {
  const std::lock_guard lock(mutex_);
  readers_.push_back(
      {std::move(name), std::move(help), prometheus::MetricType::Gauge, std::move(read)});
}

void HttpMetrics::AddCounter(std::string name, std::string help, std::function<double()> read) {
  const std::lock_guard lock(mutex_);
  readers_.push_back(
      {std::move(name), std::move(help), prometheus::MetricType::Counter, std::move(read)});
}

std::vector<prometheus::MetricFamily> HttpMetrics::Collect() const {
  std::vector<prometheus::MetricFamily> families = registry_.Collect();
  std::vector<Reader> readers;
  {
    const std::lock_guard lock(mutex_);
    readers = readers_;
  }
  for (const Reader& reader : readers) {
    prometheus::MetricFamily family;
    family.name = reader.name;
    family.help = reader.help;
    family.type = reader.type;
    prometheus::ClientMetric metric;
    if (reader.type == prometheus::MetricType::Gauge) {
      metric.gauge.value = reader.read();
    } else {
      metric.counter.value = reader.read();
    }
    family.metric.push_back(std::move(metric));
    families.push_back(std::move(family));
  }
  return families;
}

}  // namespace lanekeeper::gateway
