#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>
#include <utility>

#include "cli/remote/lane_name.h"
#include "cli/remote/remote.h"
#include "worker-runtime/client/job_json.h"
#include "worker-runtime/client/retry.h"

namespace lanekeeper::cli {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

constexpr milliseconds kTryTimeout{10'000};
// A person waits: two or three seconds of a gateway that is not there are enough.
constexpr int kRetries = 4;

MonotonicTime Now() { return std::chrono::steady_clock::now(); }

bool MayRepeat(const std::string& method) {
  constexpr std::array<std::string_view, 4> kMethods{"GET", "HEAD", "PUT", "DELETE"};
  return std::find(kMethods.begin(), kMethods.end(), method) != kMethods.end();
}

ClientError NoAnswer(const Error& error) {
  return {
      .kind = error.kind, .message = error.message, .problem = {}, .status = 0, .retry_after = {}};
}

std::uint64_t Random() {
  static thread_local std::mt19937_64 engine{std::random_device{}()};
  return engine();
}

class GatewayRemote final : public Remote {
 public:
  GatewayRemote(std::string where, std::shared_ptr<client::HttpCaller> http, milliseconds timeout,
                std::unique_ptr<Client> jobs)
      : where_(std::move(where)),
        http_(std::move(http)),
        timeout_(timeout),
        jobs_(std::move(jobs)) {}

  const std::string& where() const override { return where_; }
  Client& jobs() override { return *jobs_; }

  ClientResult<json> Get(const std::string& path) override {
    return Call({.method = "GET", .path = path, .headers = {}, .content_type = {}, .body = {}});
  }

  ClientResult<json> Call(const client::HttpRequest& request) override {
    auto reply = Send(request);
    if (!reply) {
      ClientError error = std::move(reply).error();
      if (error.status == 0) error.message.insert(0, where_ + ": ");
      return tl::unexpected<ClientError>(std::move(error));
    }
    if (reply->body.empty()) return json();
    json answer = json::parse(reply->body, nullptr, /*allow_exceptions=*/false);
    if (answer.is_discarded()) {
      return tl::unexpected<ClientError>({.kind = ErrorKind::kRetryable,
                                          .message = where_ + ": the answer is no JSON",
                                          .problem = {},
                                          .status = 0,
                                          .retry_after = {}});
    }
    return answer;
  }

  ClientResult<LaneName> Resolve(std::string_view text, bool with_lane) override {
    if (!pools_) {
      auto pools = Get("/v1/pools");
      if (!pools) return tl::unexpected<ClientError>(std::move(pools).error());
      pools_ = *std::move(pools);
    }
    return ReadLaneName(text, with_lane, *pools_);
  }

 private:
  // Until an answer is final, it was tried often enough, or the time is over.
  ClientResult<client::HttpReply> Send(const client::HttpRequest& request) {
    const MonotonicTime deadline = Now() + timeout_;
    const bool may_repeat = MayRepeat(request.method);
    client::RetryPolicy policy;
    policy.retries = kRetries;
    for (int tries = 1;; ++tries) {
      const MonotonicTime end = may_repeat ? std::min(deadline, Now() + kTryTimeout) : deadline;
      auto reply = http_->Call(request, end);
      if (reply && reply->status >= 200 && reply->status < 300) return *std::move(reply);
      ClientError error = reply
                              ? client::ReadProblem(reply->status, reply->retry_after, reply->body)
                              : NoAnswer(reply.error());
      const bool may_pass = reply ? error.status != 429 : error.kind == ErrorKind::kRetryable;
      const auto left = std::chrono::duration_cast<milliseconds>(deadline - Now());
      const auto wait =
          client::DecideRetry(policy, {.status = error.status, .retry_after = error.retry_after},
                              tries, left, Random());
      if (!may_repeat || !may_pass || !wait) return tl::unexpected<ClientError>(std::move(error));
      std::this_thread::sleep_for(*wait);
    }
  }

  const std::string where_;
  const std::shared_ptr<client::HttpCaller> http_;
  const milliseconds timeout_;
  const std::unique_ptr<Client> jobs_;
  std::optional<json> pools_;  // As they were when Resolve was called first.
};

}  // namespace

Result<std::unique_ptr<Remote>> MakeRemote(std::string where,
                                           std::shared_ptr<client::HttpCaller> http,
                                           milliseconds timeout) {
  auto jobs = Client::Create({.url = {},
                              .timeout = timeout,
                              .try_timeout = std::min(timeout, kTryTimeout),
                              .retries = kRetries,
                              .wait_when_busy = false},
                             http);
  if (!jobs) return Wrap(std::move(jobs).error(), "--timeout");
  return std::make_unique<GatewayRemote>(std::move(where), std::move(http), timeout,
                                         *std::move(jobs));
}

}  // namespace lanekeeper::cli
