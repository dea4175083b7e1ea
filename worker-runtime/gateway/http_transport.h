// The connections under cpprestsdk's http_listener: its own server reads headers of any length,
// knows no time limits and never says that a client has gone. Registered in its place through
// cpprestsdk's http_server_api, so that every http_listener of the process is served by this.
//
// One thread accepts, reads and writes (boost::asio); handlers run on it: they are short, never
// wait, and may answer from any thread.
#pragma once

#include <cpprest/http_msg.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "worker-runtime/base/result.h"

namespace lanekeeper::gateway {

struct TransportLimits {
  std::size_t header_bytes_max = 16 * 1024;      // Request line included. 431 beyond.
  std::size_t body_bytes_max = 8 * 1024 * 1024;  // Content-Length or chunks. 413 beyond.
  std::size_t connections_max = 20'000;          // The next one is closed at once, and counted.
  std::chrono::milliseconds header_timeout{
      10'000};                                     // From its first byte to the last of the header.
  std::chrono::milliseconds body_timeout{30'000};  // From the header to the end of the body.
  std::chrono::milliseconds idle_timeout{75'000};  // Between two requests.
  std::chrono::milliseconds write_timeout{20'000};  // A client that takes nothing for so long.
  std::size_t stream_bytes_max = 256 * 1024;        // Unsent bytes of one HttpStream.
  // Of all requests together that are being read or answered. 429 beyond.
  std::size_t all_bodies_bytes_max = 256 * 1024 * 1024;
  // So long a listener that closes waits for answers; then the connections are closed.
  std::chrono::milliseconds close_timeout{10'000};
};

struct TransportTls {
  std::string certificate_file;  // PEM, with its chain. Both are read again when they change.
  std::string key_file;
  bool enabled() const { return !certificate_file.empty(); }
};

struct TransportOptions {
  TransportLimits limits;
  // For listeners with an https address. TLS 1.2 and later.
  TransportTls tls;
};

struct TransportCounts {
  std::int64_t connections = 0;  // Now.
  std::int64_t requests = 0;     // Since the start, as all below.
  std::int64_t connections_refused = 0;
  std::int64_t header_too_large = 0;
  std::int64_t body_too_large = 0;
  std::int64_t timeouts = 0;
  std::int64_t malformed = 0;  // 400 by the transport itself.
};

// Once, before the first http_listener of the process is opened, and after SizeThreadPool
// (telemetry_server.h). kInvalid: certificate or key cannot be used, naming the file; or it is too
// late.
Result<void> InstallTransport(TransportOptions options);
TransportCounts CountTransport();

// The whole body, moved out: it is there when the handler is called. Once. Spares the thread hops
// of extract_string. Empty for a request of another server.
std::string TakeBody(const web::http::http_request& request);

// What handlers need and http_request does not say. Both do nothing for a request of another
// server. The call may be answered nevertheless: a client that has only closed its sending half
// still reads. Called when the client closes the connection before its request is answered; at most
// once, on the transport's thread.
void OnClientGone(const web::http::http_request& request, std::function<void()> gone);

// An answer that is written piece by piece: server-sent events. Any thread.
class HttpStream {
 public:
  virtual ~HttpStream() = default;  // Ends the answer in good order when it has not ended.
  // False, and nothing is written: the client has gone, or stream_bytes_max are unsent (then the
  // connection is closed: a client that is that slow starts again from its Last-Event-ID).
  virtual bool Write(std::string_view bytes) = 0;
  virtual bool Open() const = 0;
};
// Answers `request` with the status line and these headers, and chunks from then on. `gone` as in
// OnClientGone; it is also called when the listener closes or the client is too slow. Null, and
// `gone` is not called: the client has gone already, the request was answered before, or it is a
// HEAD, which is answered with that.
std::shared_ptr<HttpStream> StartStream(
    const web::http::http_request& request, int status,
    const std::vector<std::pair<std::string, std::string>>& headers, std::function<void()> gone);

}  // namespace lanekeeper::gateway
