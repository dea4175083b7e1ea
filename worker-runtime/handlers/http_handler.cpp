#include "worker-runtime/handlers/http_handler.h"

// pplx/threadpool.h needs it and does not include it.
#include <utility>
// In this order.
#include <cpprest/containerstream.h>
#include <cpprest/http_client.h>
#include <pplx/threadpool.h>

#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>
#include <variant>

#include "worker-runtime/base/clock.h"
#include "worker-runtime/base/duration.h"
#include "worker-runtime/handlers/http_answer.h"
#include "worker-runtime/job/job_record.h"

namespace lanekeeper::handlers {
namespace {

using std::chrono::milliseconds;
using web::http::http_exception;
using web::http::http_request;
using web::http::http_response;
using web::http::client::http_client;

// Its threads only move bytes; the slots wait outside of the pool.
constexpr std::size_t kPoolThreads = 2;
constexpr milliseconds kStopCheckInterval{50};
constexpr milliseconds kConnectPause{200};
// How long a cancelled request may take to end before it is left to itself.
constexpr milliseconds kCancelPatience{2000};
// cpprestsdk knows no "never"; the job's timeout ends a request.
constexpr std::chrono::hours kRequestTimeout{24 * 365};

// Why there is no answer.
struct NotReached {
  std::string why;
};
struct Lost {
  std::string why;
};
struct Garbled {
  std::string why;
};
struct Stopped {};
using Ending = std::variant<HttpAnswer, NotReached, Lost, Garbled, Stopped>;

// cpprestsdk 2.10 says EHOSTUNREACH for a refused connection (and for one that broke before the
// request was out), EPERM for a name that does not resolve, and nothing for what is no HTTP.
Ending EndingOf(const http_exception& error) {
  const int code = error.error_code().value();
  if (code == static_cast<int>(std::errc::host_unreachable) ||
      code == static_cast<int>(std::errc::operation_not_permitted)) {
    return NotReached{error.what()};
  }
  if (code == 0) return Garbled{error.what()};
  return Lost{error.what()};
}

// One request. Shared with the pool's threads: a cancelled request may outlive the call.
class Exchange {
 public:
  explicit Exchange(pplx::cancellation_token token) : token_(std::move(token)) {}

  static void Start(const std::shared_ptr<Exchange>& exchange, http_client& client,
                    const http_request& request) {
    client.request(request, exchange->token_)
        .then([exchange](const http_response& response) {
          exchange->answer_.status = response.status_code();
          response.headers().match("Retry-After", exchange->answer_.retry_after);
          return exchange->ReadBody(response);
        })
        .then([exchange](const pplx::task<void>& done) {
          try {
            done.get();
            exchange->Finish(std::move(exchange->answer_));
          } catch (const http_exception& error) {
            exchange->Finish(EndingOf(error));
          } catch (const std::exception& error) {
            exchange->Finish(Lost{error.what()});
          }
        });
  }

  // Nothing when `time` was over first.
  std::optional<Ending> WaitFor(milliseconds time) {
    std::unique_lock lock(mutex_);
    finished_.wait_for(lock, time, [this] { return ending_.has_value(); });
    return std::exchange(ending_, std::nullopt);
  }

 private:
  // One byte more than a result may have tells that it is too large.
  pplx::task<void> ReadBody(const http_response& response) {
    const std::size_t left = kResultBytesMax + 1 - answer_.body.size();
    concurrency::streams::container_buffer<std::string> piece;
    auto read = response.body().read(piece, left);
    return read.then([this, response, piece, left](std::size_t bytes) mutable {
      answer_.body.append(piece.collection(), 0, bytes);
      if (bytes == 0 || bytes == left) return pplx::task_from_result();
      return ReadBody(response);
    });
  }

  void Finish(Ending ending) {
    const std::lock_guard lock(mutex_);
    ending_ = std::move(ending);
    finished_.notify_all();
  }

  const pplx::cancellation_token token_;
  HttpAnswer answer_;
  std::mutex mutex_;
  std::condition_variable finished_;
  std::optional<Ending> ending_;
};

// Made by the first job: its threads have to come after the worker has blocked SIGTERM for all.
class LazyClient {
 public:
  explicit LazyClient(std::string url) : url_(std::move(url)) {}

  http_client& Get() {
    std::call_once(made_, [this] {
      try {
        crossplat::threadpool::initialize_with_threads(kPoolThreads);
      } catch (const std::exception&) {
        // The pool exists already and cannot change its size.
      }
      web::http::client::http_client_config config;
      config.set_timeout(kRequestTimeout);
      config.set_max_redirects(0);
      client_.emplace(url_, config);
    });
    return *client_;
  }

 private:
  const std::string url_;
  std::once_flag made_;
  std::optional<http_client> client_;
};

http_request RequestOf(const Job& job) {
  http_request request(web::http::methods::POST);
  // Before the headers: it sets a Content-Type of its own.
  request.set_body(job.payload());
  for (const auto& [name, value] : HttpHeadersOf(job)) {
    request.headers().remove(name);
    request.headers().add(name, value);
  }
  return request;
}

Ending Post(http_client& client, const Job& job) {
  pplx::cancellation_token_source cancel;
  const auto exchange = std::make_shared<Exchange>(cancel.get_token());
  Exchange::Start(exchange, client, RequestOf(job));
  while (true) {
    if (auto ending = exchange->WaitFor(kStopCheckInterval)) return *std::move(ending);
    if (!job.StopRequested()) continue;
    cancel.cancel();
    // An answer that came at the last moment counts.
    auto ending = exchange->WaitFor(kCancelPatience);
    if (ending && std::holds_alternative<HttpAnswer>(*ending)) return *std::move(ending);
    return Stopped{};
  }
}

Outcome PostUntilReached(http_client& client, const HttpOptions& options, Job& job) {
  const SystemClock clock;
  const MonotonicTime until = clock.Now() + options.start_deadline;
  while (!job.StopRequested()) {
    const Ending ending = Post(client, job);
    if (const auto* answer = std::get_if<HttpAnswer>(&ending)) {
      return OutcomeOfAnswer(*answer, clock.WallNow());
    }
    if (job.StopRequested()) break;
    if (const auto* lost = std::get_if<Lost>(&ending)) {
      return Crashed{"the connection to " + options.url + " ended without an answer: " + lost->why,
                     "connection lost"};
    }
    if (const auto* garbled = std::get_if<Garbled>(&ending)) {
      return Failed{options.url + " does not speak HTTP: " + garbled->why, "protocol"};
    }
    const auto* not_reached = std::get_if<NotReached>(&ending);
    if (not_reached != nullptr && clock.Now() >= until) {
      return Failed{"connecting to " + options.url + " for " +
                        FormatDuration(options.start_deadline) + ": " + not_reached->why,
                    "connection"};
    }
    std::this_thread::sleep_for(kConnectPause);
  }
  return Interrupted{};
}

}  // namespace

Result<Handler> MakeHttpHandler(HttpOptions options) {
  const auto invalid = [&options](const std::string& why) {
    return Fail(ErrorKind::kInvalid, "\"" + options.url + "\" is no URL of a handler: " + why +
                                         "; write http://HOST:PORT/PATH");
  };
  try {
    const web::uri url(options.url);
    if (url.scheme() == "https") {
      return invalid("https is not spoken here, let a proxy in the pod do it");
    }
    if (url.scheme() != "http") return invalid("it does not begin with http://");
    if (url.host().empty()) return invalid("it has no host");
  } catch (const web::uri_exception& error) {
    return invalid(error.what());
  }
  const auto client = std::make_shared<LazyClient>(options.url);
  return Handler([client, options = std::move(options)](Job& job) -> Outcome {
    try {
      return PostUntilReached(client->Get(), options, job);
    } catch (const std::exception& error) {
      return Failed{std::string("sending the job: ") + error.what(), "connection"};
    }
  });
}

}  // namespace lanekeeper::handlers
