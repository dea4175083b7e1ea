#include "operator/kubernetes/api_client.h"

#include <cpprest/http_client.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <stdexcept>
#include <utility>
#include <vector>

#include "operator/kubernetes/credential_source.h"
#include "operator/kubernetes/line_splitter.h"
#include "operator/kubernetes/tls_context.h"
#include "worker-runtime/base/clock.h"
#include "worker-runtime/base/completion.h"
#include "worker-runtime/client/whole_response.h"

namespace lanekeeper::kubernetes {
namespace {

using std::chrono::milliseconds;
using web::http::http_request;
using web::http::http_response;
using Cancellation = pplx::cancellation_token_source;

// cpprestsdk's own timeout, per read and write. Only a backstop: the deadlines here are shorter.
constexpr std::chrono::minutes kTransportTimeout{10};
constexpr milliseconds kWatchAnswerDeadline{15000};  // From the request to the first header.
constexpr std::chrono::seconds kQuietMax{30};        // The longest Retry-After that is obeyed.

MonotonicTime Now() { return std::chrono::steady_clock::now(); }

Error NoAnswer(const std::stop_token& stop, milliseconds deadline) {
  if (stop.stop_requested()) return {ErrorKind::kRetryable, "stopped"};
  return {ErrorKind::kRetryable, "no answer within " + std::to_string(deadline.count()) + " ms"};
}

Answer ToAnswer(const client::WholeResponse& response) {
  return {.status = response.head.status_code(),
          .body = response.Text(),
          .retry_after = client::RetryAfterOf(response.head)};
}

std::string HostHeader(const KubeConfig& config) {
  const bool is_ipv6 = config.host.find(':') != std::string::npos;
  return (is_ipv6 ? "[" + config.host + "]" : config.host) + ":" + std::to_string(config.port);
}

web::uri BaseUri(const KubeConfig& config) {
  // set_host takes an IPv6 address without brackets, which the resolver needs; uri's parser would
  // keep them.
  return web::uri_builder()
      .set_scheme(config.scheme)
      .set_host(config.host)
      .set_port(config.port)
      .set_path(config.path)
      .to_uri();
}

web::http::client::http_client_config HttpConfig(const KubeConfig& config,
                                                 std::shared_ptr<TlsContext> tls) {
  web::http::client::http_client_config http;
  http.set_timeout(kTransportTimeout);
  http.set_max_redirects(0);  // A redirect would carry the token elsewhere.
  http.set_validate_certificates(!config.insecure_skip_tls_verify);
  http.set_tlsext_sni_enabled(false);  // It would name the Host header, port included.
  http.set_ssl_context_callback(
      [tls](boost::asio::ssl::context& context) { tls->Configure(context.native_handle()); });
  return http;
}

}  // namespace

class ApiClient::Connection {
 public:
  Connection(KubeConfig config, Options options, std::shared_ptr<TlsContext> tls)
      : options_(options),
        server_(HostHeader(config)),
        credentials_(config, clock_),
        config_(std::move(config)),
        line_(std::make_shared<Line>(config_, std::move(tls))) {}

  CredentialSource& credentials() { return credentials_; }
  const Options& options() const { return options_; }

  Result<Answer> Call(const Request& request, const Credential& credential,
                      const CallOptions& options) {
    return OnLineOf(credential, [&](Line& line) -> Result<Answer> {
      Cancellation cancellation;
      const auto task =
          line.client.request(Build(request, credential.token, true), cancellation.get_token())
              .then([](const http_response& head) { return client::ReadBody(head); });
      if (!WaitForTask(task, Now() + options.deadline, options.stop)) {
        cancellation.cancel();
        return tl::unexpected<Error>(NoAnswer(options.stop, options.deadline));
      }
      return ToAnswer(task.get());
    });
  }

  struct StreamTimes {
    milliseconds answer;   // Until the whole head is there.
    milliseconds silence;  // Between two pieces.
    MonotonicTime end;     // Of all of it.
  };

  Result<Answer> Stream(const Request& request, const Credential& credential,
                        const StreamTimes& times, const Take& take, const std::stop_token& stop) {
    return OnLineOf(credential, [&](Line& line) -> Result<Answer> {
      Cancellation cancellation;
      // Whichever way this ends, the connection of a watch that is not over is of no more use.
      struct CancelAtEnd {
        Cancellation& cancellation;
        ~CancelAtEnd() { cancellation.cancel(); }
      } const cancel_at_end{cancellation};

      const auto head =
          line.client.request(Build(request, credential.token, false), cancellation.get_token());
      const MonotonicTime deadline = std::min(times.end, Now() + times.answer);
      if (!WaitForTask(head, deadline, stop)) {
        return tl::unexpected<Error>(NoAnswer(stop, times.answer));
      }
      if (head.get().status_code() == web::http::status_codes::OK) {
        return ReadPieces(head.get(), times, take, stop);
      }
      const auto whole = client::ReadBody(head.get());
      if (!WaitForTask(whole, deadline, stop)) {
        return tl::unexpected<Error>(NoAnswer(stop, times.answer));
      }
      return ToAnswer(whole.get());
    });
  }

 private:
  // The connections on which one certificate is shown.
  struct Line {
    Line(const KubeConfig& config, std::shared_ptr<TlsContext> tls_context)
        : tls(std::move(tls_context)), client(BaseUri(config), HttpConfig(config, tls)) {}

    const std::shared_ptr<TlsContext> tls;
    web::http::client::http_client client;
  };

  // A new one when there is another certificate; calls that are under way keep theirs.
  Result<std::shared_ptr<Line>> LineOf(const Credential& credential) {
    const std::lock_guard lock(mutex_);
    if (credential.certificate_pem == config_.client_certificate_pem &&
        credential.key_pem == config_.client_key_pem) {
      return line_;
    }
    KubeConfig config = config_;
    config.client_certificate_pem = credential.certificate_pem;
    config.client_key_pem = credential.key_pem;
    Result<std::shared_ptr<TlsContext>> tls = TlsContext::Create(config);
    if (!tls) {
      return Fail(ErrorKind::kForbidden, "logging in to " + server_ + ": " + tls.error().message);
    }
    line_ = std::make_shared<Line>(config, *std::move(tls));
    config_ = std::move(config);
    return line_;
  }

  http_request Build(const Request& request, const std::string& token, bool limited) const {
    http_request http(request.method);
    std::string uri = request.path;
    if (!request.query.empty()) uri += "?" + request.query;
    http.set_request_uri(uri);
    http.headers().add("Host", server_);
    for (const auto& [name, value] : request.headers) http.headers().add(name, value);
    if (!http.headers().has("Accept")) http.headers().add("Accept", "application/json");
    http.headers().add("User-Agent", "lanekeeper");
    if (!token.empty()) http.headers().add("Authorization", "Bearer " + token);
    if (!request.body.empty()) http.set_body(request.body, request.content_type);
    if (limited) client::LimitAnswer(http, options_.answer_bytes_max);
    return http;
  }

  static Result<Answer> ReadPieces(const http_response& response, const StreamTimes& times,
                                   const Take& take, const std::stop_token& stop) {
    auto stream = response.body().streambuf();
    std::array<std::uint8_t, 16 * 1024> bytes;
    while (true) {
      // One byte to wait for, then whatever came with it.
      const auto first = stream.bumpc();
      const MonotonicTime until = std::min(times.end, Now() + times.silence);
      if (!first.is_done() && !WaitForTask(first, until, stop)) {
        return tl::unexpected<Error>(NoAnswer(stop, times.silence));
      }
      const int byte = first.get();
      if (byte == Concurrency::streams::char_traits<std::uint8_t>::eof()) {
        return Answer{.status = web::http::status_codes::OK};
      }
      bytes[0] = static_cast<std::uint8_t>(byte);
      const std::size_t more = std::min(stream.in_avail(), bytes.size() - 1);
      const std::size_t count = 1 + (more > 0 ? stream.getn(bytes.data() + 1, more).get() : 0);
      const bool go_on = take({reinterpret_cast<const char*>(bytes.data()), count});
      if (!go_on || stop.stop_requested()) return Answer{.status = web::http::status_codes::OK};
    }
  }

  // Runs `call` and turns what cpprestsdk throws into an Error.
  template <typename Function>
  Result<Answer> OnLineOf(const Credential& credential, Function call) {
    const Result<std::shared_ptr<Line>> line = LineOf(credential);
    if (!line) return tl::unexpected<Error>(line.error());
    try {
      return call(**line);
    } catch (const std::exception& error) {
      const std::string refusal = (*line)->tls->TakeRefusal();
      if (!refusal.empty()) {
        return Fail(ErrorKind::kForbidden,
                    "the certificate of " + server_ + " is not trusted: " + refusal);
      }
      return Fail(ErrorKind::kRetryable, "talking to " + server_ + ": " + error.what());
    }
  }

  const Options options_;
  const std::string server_;
  const SystemClock clock_;
  CredentialSource credentials_;
  std::mutex mutex_;
  KubeConfig config_;  // With the certificate of line_.
  std::shared_ptr<Line> line_;
};

Result<std::unique_ptr<ApiClient>> ApiClient::Create(KubeConfig config, Options options) {
  Result<std::shared_ptr<TlsContext>> tls = TlsContext::Create(config);
  if (!tls) return tl::unexpected<Error>(std::move(tls).error());
  try {
    return std::unique_ptr<ApiClient>(
        new ApiClient(std::make_unique<Connection>(std::move(config), options, *std::move(tls))));
  } catch (const std::exception& error) {
    return Fail(ErrorKind::kInvalid, std::string("server address: ") + error.what());
  }
}

ApiClient::ApiClient(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}

ApiClient::~ApiClient() = default;

Result<std::string> ApiClient::Token() {
  Result<Credential> credential = connection_->credentials().Current({});
  if (!credential) return tl::unexpected<Error>(std::move(credential).error());
  return std::move(credential->token);
}

template <typename Once>
Result<Answer> ApiClient::WithLogin(const std::stop_token& stop, Once once) {
  CredentialSource& credentials = connection_->credentials();
  const Result<Credential> credential = credentials.Current(stop);
  if (!credential) return tl::unexpected<Error>(credential.error());
  Result<Answer> answer = once(*credential);
  if (!answer || answer->status != web::http::status_codes::Unauthorized) return answer;
  const Result<bool> renewed = credentials.Renew(*credential, stop);
  if (!renewed) return tl::unexpected<Error>(renewed.error());
  if (!*renewed) return answer;
  const Result<Credential> other = credentials.Current(stop);
  if (!other) return tl::unexpected<Error>(other.error());
  return once(*other);
}

Result<Answer> ApiClient::Exchange(const Request& request, const CallOptions& options) {
  const std::chrono::nanoseconds quiet(quiet_until_ns_.load() - Now().time_since_epoch().count());
  if (quiet.count() > 0) {
    return Answer{.status = web::http::status_codes::TooManyRequests,
                  .body = "the API server asked for a pause",
                  .retry_after = std::chrono::ceil<std::chrono::seconds>(quiet)};
  }
  ++requests_;
  if (IsWrite(request)) ++writes_;
  const auto answer = WithLogin(options.stop, [&](const Credential& credential) {
    return connection_->Call(request, credential, options);
  });
  if (answer && answer->status == web::http::status_codes::TooManyRequests && answer->retry_after) {
    const MonotonicTime until = Now() + std::min(*answer->retry_after, kQuietMax);
    quiet_until_ns_ = until.time_since_epoch().count();
  }
  return answer;
}

Result<Answer> ApiClient::Stream(const Request& request, milliseconds silence_max,
                                 const OnLine& on_line, std::stop_token stop) {
  const auto once = [&](const Credential& credential) -> Result<Answer> {
    LineSplitter lines(connection_->options().line_bytes_max);
    std::optional<Error> broken;
    Result<Answer> answer = connection_->Stream(
        request, credential,
        {.answer = kWatchAnswerDeadline, .silence = silence_max, .end = MonotonicTime::max()},
        [&](std::string_view bytes) {
          const Result<bool> go_on = lines.Add(bytes, on_line);
          if (!go_on) broken = go_on.error();
          return go_on && *go_on;
        },
        stop);
    if (broken) return tl::unexpected<Error>(*std::move(broken));
    return answer;
  };
  ++requests_;
  return WithLogin(stop, once);
}

Result<Answer> ApiClient::Forward(const Request& request, const CallOptions& options) {
  ++requests_;
  if (IsWrite(request)) ++writes_;
  const Result<Credential> credential = connection_->credentials().Current(options.stop);
  if (!credential) return tl::unexpected<Error>(credential.error());
  return connection_->Call(request, *credential, options);
}

Result<Answer> ApiClient::ForwardStream(const Request& request, const CallOptions& options,
                                        milliseconds silence_max, const Take& take) {
  ++requests_;
  const Result<Credential> credential = connection_->credentials().Current(options.stop);
  if (!credential) return tl::unexpected<Error>(credential.error());
  return connection_->Stream(
      request, *credential,
      {.answer = silence_max, .silence = silence_max, .end = Now() + options.deadline}, take,
      options.stop);
}

}  // namespace lanekeeper::kubernetes
