#include "worker-runtime/telemetry/telemetry_server.h"

#include <cpprest/http_listener.h>
#include <pplx/threadpool.h>
#include <prometheus/text_serializer.h>

#include <cassert>
#include <exception>
#include <utility>

#include "worker-runtime/base/log.h"

namespace lanekeeper::telemetry {
namespace {

using web::http::http_request;
using web::http::http_response;
using web::http::status_codes;
using web::http::experimental::listener::http_listener;

http_response Answer(web::http::status_code status, std::string body,
                     const char* content_type = "text/plain; charset=utf-8") {
  http_response response(status);
  response.set_body(std::move(body), content_type);
  return response;
}

http_response Answer(const std::function<Health()>& check, web::http::status_code status_if_not) {
  const Health health = check ? check() : Health{};
  return Answer(health.ok ? static_cast<web::http::status_code>(status_codes::OK) : status_if_not,
                health.text + "\n");
}

}  // namespace

class TelemetryServer::Listener {
 public:
  explicit Listener(TelemetryOptions options)
      : options_(std::move(options)),
        listener_("http://" + options_.address + ":" + std::to_string(options_.port)) {
    listener_.support([this](const http_request& request) { Serve(request); });
  }
  ~Listener() {
    try {
      listener_.close().wait();
    } catch (const std::exception& error) {
      log::Debug("telemetry", "close_failed", {{"error", error.what()}});
    }
  }
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  void Open() { listener_.open().wait(); }

 private:
  void Serve(http_request request) const {
    try {
      // A client that went away makes the reply fail, later and on another thread.
      request.reply(Respond(request)).then([](const pplx::task<void>& sent) {
        try {
          sent.get();
        } catch (const std::exception& error) {
          log::Debug("telemetry", "reply_failed", {{"error", error.what()}});
        }
      });
    } catch (const std::exception& error) {
      log::Warning("telemetry", "request_failed", {{"error", error.what()}});
    }
  }

  http_response Respond(const http_request& request) const {
    if (request.method() != web::http::methods::GET) {
      return Answer(status_codes::MethodNotAllowed, "only GET is served here\n");
    }
    const std::string path = request.relative_uri().path();
    if (path == "/healthz") return Answer(options_.healthy, status_codes::InternalError);
    if (path == "/readyz") return Answer(options_.ready, status_codes::ServiceUnavailable);
    if (path == "/metrics") {
      return Answer(status_codes::OK,
                    options_.metrics_text
                        ? options_.metrics_text()
                        : prometheus::TextSerializer().Serialize(options_.metrics->Collect()),
                    "text/plain; version=0.0.4; charset=utf-8");
    }
    return Answer(status_codes::NotFound, "there are /metrics, /healthz and /readyz\n");
  }

  TelemetryOptions options_;
  http_listener listener_;
};

void SizeThreadPool(int threads) {
  assert(threads >= 1);
  try {
    crossplat::threadpool::initialize_with_threads(static_cast<std::size_t>(threads));
  } catch (const std::exception&) {
    // The pool exists already and cannot change its size.
    log::Debug("telemetry", "thread_pool_already_sized");
  }
}

Result<TelemetryServer> TelemetryServer::Start(TelemetryOptions options) {
  assert(options.metrics || options.metrics_text);
  assert(options.port >= 1 && options.port <= 65535);
  const std::string endpoint = options.address + ":" + std::to_string(options.port);
  try {
    auto listener = std::make_unique<Listener>(std::move(options));
    listener->Open();
    return TelemetryServer(std::move(listener));
  } catch (const std::exception& error) {
    return Fail(ErrorKind::kInvalid,
                "listening on " + endpoint + " for metrics and health: " + error.what());
  }
}

TelemetryServer::TelemetryServer(std::unique_ptr<Listener> listener)
    : listener_(std::move(listener)) {}
TelemetryServer::~TelemetryServer() = default;
TelemetryServer::TelemetryServer(TelemetryServer&&) noexcept = default;
TelemetryServer& TelemetryServer::operator=(TelemetryServer&&) noexcept = default;

}  // namespace lanekeeper::telemetry
