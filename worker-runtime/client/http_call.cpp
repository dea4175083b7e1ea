#include "worker-runtime/client/http_call.h"

#include <cpprest/http_client.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <exception>
#include <fstream>
#include <memory>
#include <mutex>
#include <stdexcept>

#include "worker-runtime/base/completion.h"
#include "worker-runtime/client/whole_response.h"

namespace lanekeeper::client {
namespace {

using std::chrono::milliseconds;
using web::http::http_request;
using web::http::http_response;
using web::http::client::http_client;
using web::http::client::http_client_config;
using Cancellation = pplx::cancellation_token_source;

// cpprestsdk's own timeout, per read and write. Only a backstop: the deadlines here are shorter.
constexpr std::chrono::hours kTransportTimeout{1};
constexpr std::size_t kTokenBytesMax = 64 * 1024;

tl::unexpected<Error> NoAnswer(const std::stop_token& stop) {
  return Fail(ErrorKind::kRetryable, stop.stop_requested() ? "stopped" : "no answer in time");
}

HttpReply ToReply(const WholeResponse& response) {
  return {.status = response.head.status_code(),
          .retry_after = RetryAfterOf(response.head),
          .body = response.Text()};
}

// The first word of the file: tokens have no spaces.
Result<std::string> ReadToken(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text(kTokenBytesMax, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string::npos) {
    return Fail(ErrorKind::kForbidden, "there is no token in " + path);
  }
  return text.substr(begin, text.find_first_of(kSpace, begin) - begin);
}

http_client_config Config(const HttpCallerOptions& options) {
  http_client_config config;
  config.set_timeout(kTransportTimeout);
  config.set_max_redirects(0);  // A redirect would carry the token elsewhere.
  if (!options.ca_file.empty()) {
    config.set_ssl_context_callback([file = options.ca_file](boost::asio::ssl::context& context) {
      context.load_verify_file(file);
    });
  }
  return config;
}

class PlainHttpCaller final : public HttpCaller {
 public:
  explicit PlainHttpCaller(HttpCallerOptions options)
      : options_(std::move(options)), client_(options_.url, Config(options_)) {}

  Result<HttpReply> Call(const HttpRequest& request, MonotonicTime deadline,
                         const std::stop_token& stop) override {
    return Guarded([&]() -> Result<HttpReply> {
      auto http = Build(request, /*limited=*/true);
      if (!http) return tl::unexpected<Error>(std::move(http).error());
      Cancellation cancellation;
      const auto task =
          client_.request(*http, cancellation.get_token()).then([](const http_response& head) {
            return ReadBody(head);
          });
      if (!WaitForTask(task, deadline, stop)) {
        cancellation.cancel();
        return NoAnswer(stop);
      }
      return ToReply(task.get());
    });
  }

  Result<HttpReply> Stream(const HttpRequest& request, MonotonicTime deadline,
                           milliseconds silence_max, const std::stop_token& stop,
                           const Take& take) override {
    return Guarded([&]() -> Result<HttpReply> {
      auto http = Build(request, /*limited=*/false);
      if (!http) return tl::unexpected<Error>(std::move(http).error());
      Cancellation cancellation;
      // Whichever way this ends, the connection of a stream that is not over is of no more use.
      struct CancelAtEnd {
        Cancellation& cancellation;
        ~CancelAtEnd() { cancellation.cancel(); }
      } const cancel_at_end{cancellation};

      const auto head = client_.request(*http, cancellation.get_token());
      if (!WaitForTask(head, std::min(deadline, Now() + silence_max), stop)) return NoAnswer(stop);
      if (head.get().status_code() == web::http::status_codes::OK) {
        return ReadPieces(head.get(), deadline, silence_max, stop, take);
      }
      const auto whole = ReadBody(head.get());
      if (!WaitForTask(whole, std::min(deadline, Now() + silence_max), stop)) return NoAnswer(stop);
      return ToReply(whole.get());
    });
  }

 private:
  static MonotonicTime Now() { return std::chrono::steady_clock::now(); }

  Result<http_request> Build(const HttpRequest& request, bool limited) const {
    http_request http(request.method);
    http.set_request_uri(web::uri(request.path));
    http.headers().add("User-Agent", "lanekeeper-client");
    for (const auto& [name, value] : request.headers) http.headers().add(name, value);
    std::string token = options_.token;
    if (!options_.token_file.empty()) {
      auto read = ReadToken(options_.token_file);
      if (!read) return tl::unexpected<Error>(std::move(read).error());
      token = *std::move(read);
    }
    if (!token.empty()) http.headers().add("Authorization", "Bearer " + token);
    if (!request.content_type.empty()) http.set_body(request.body, request.content_type);
    if (limited) LimitAnswer(http, options_.answer_bytes_max);
    return http;
  }

  static Result<HttpReply> ReadPieces(const http_response& response, MonotonicTime deadline,
                                      milliseconds silence_max, const std::stop_token& stop,
                                      const Take& take) {
    const HttpReply over{.status = web::http::status_codes::OK};
    auto stream = response.body().streambuf();
    std::array<std::uint8_t, 16 * 1024> bytes;
    while (true) {
      // One byte to wait for, then whatever came with it.
      const auto first = stream.bumpc();
      if (!first.is_done() && !WaitForTask(first, std::min(deadline, Now() + silence_max), stop)) {
        return over;
      }
      const int byte = first.get();
      if (byte == Concurrency::streams::char_traits<std::uint8_t>::eof()) return over;
      bytes[0] = static_cast<std::uint8_t>(byte);
      const std::size_t more = std::min(stream.in_avail(), bytes.size() - 1);
      const std::size_t count = 1 + (more > 0 ? stream.getn(bytes.data() + 1, more).get() : 0);
      if (!take({reinterpret_cast<const char*>(bytes.data()), count})) return over;
      if (stop.stop_requested() || Now() >= deadline) return over;
    }
  }

  template <typename Function>
  Result<HttpReply> Guarded(Function call) const {
    try {
      return call();
    } catch (const std::length_error& error) {
      return Fail(ErrorKind::kInvalid, error.what());
    } catch (const std::exception& error) {
      const std::string what = error.what();
      const bool untrusted = what.find("certificate verify failed") != std::string::npos;
      return Fail(untrusted ? ErrorKind::kForbidden : ErrorKind::kRetryable,
                  "talking to " + options_.url + ": " + what);
    }
  }

  const HttpCallerOptions options_;
  http_client client_;
};

}  // namespace

Result<std::unique_ptr<HttpCaller>> MakeHttpCaller(HttpCallerOptions options) {
  if (!options.token.empty() && !options.token_file.empty()) {
    return Fail(ErrorKind::kInvalid, "token and token_file: give one of them");
  }
  if (!options.ca_file.empty() && !std::ifstream(options.ca_file)) {
    return Fail(ErrorKind::kInvalid, "ca_file: cannot read " + options.ca_file);
  }
  try {
    const web::uri uri(options.url);
    if ((uri.scheme() != "http" && uri.scheme() != "https") || uri.host().empty()) {
      return Fail(ErrorKind::kInvalid,
                  "url '" + options.url + "': must be http://host:port or https://host:port");
    }
    return std::make_unique<PlainHttpCaller>(std::move(options));
  } catch (const std::exception& error) {
    return Fail(ErrorKind::kInvalid, "url '" + options.url + "': " + error.what());
  }
}

}  // namespace lanekeeper::client
