// The HTTP side door of a process: /metrics for Prometheus, /healthz and /readyz for a kubelet.
//
// Metrics are prometheus-cpp's own: make a prometheus::Registry, build families in it, hand it
// over. Serves GET of these three paths and nothing else, over IPv4, without TLS.
#pragma once

#include <prometheus/collectable.h>
#include <prometheus/metric_family.h>

#include <functional>
#include <memory>
#include <string>

#include "worker-runtime/base/result.h"

namespace lanekeeper::telemetry {

// Sizes the thread pool that serves every cpprestsdk listener and client of this process. Call it
// once, in main, before the first of them; it keeps the size of an earlier call otherwise.
void SizeThreadPool(int threads);

struct Health {
  bool ok = true;
  std::string text = "ok";  // One line: the body of the answer.
};

struct TelemetryOptions {
  std::string address = "0.0.0.0";
  int port = 8081;                                   // 1..65535.
  std::shared_ptr<prometheus::Collectable> metrics;  // E.g. a prometheus::Registry.
  // Instead of `metrics`, one of the two is set: the whole answer to /metrics, in Prometheus' text
  // format. For series by the ten thousand, which are many times as large as objects.
  std::function<std::string()> metrics_text;
  // Called on a pool thread for each request; must return at once. Empty = always ok.
  std::function<Health()> healthy;  // 200, or 500: restart me.
  std::function<Health()> ready;    // 200, or 503: not now.
};

class TelemetryServer {
 public:
  // Listens when it returns. kInvalid, naming the port, when it is taken or may not be opened.
  static Result<TelemetryServer> Start(TelemetryOptions options);
  // Finishes requests that are being answered; no callback runs afterwards.
  ~TelemetryServer();
  TelemetryServer(TelemetryServer&&) noexcept;
  TelemetryServer& operator=(TelemetryServer&&) noexcept;

 private:
  class Listener;
  explicit TelemetryServer(std::unique_ptr<Listener> listener);
  std::unique_ptr<Listener> listener_;
};

}  // namespace lanekeeper::telemetry
