#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "cli/remote/lane_name.h"
#include "cli/remote/remote.h"
#include "worker-runtime/client/call_until.h"

namespace lanekeeper::cli {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

constexpr milliseconds kTryTimeout{10'000};
// A person waits: two or three seconds of a gateway that is not there are enough.
constexpr int kRetries = 4;

bool MayRepeat(const std::string& method) {
  constexpr std::array<std::string_view, 4> kMethods{"GET", "HEAD", "PUT", "DELETE"};
  return std::find(kMethods.begin(), kMethods.end(), method) != kMethods.end();
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
    auto reply = client::CallUntil(*http_, request,
                                   {.retry = {.retries = kRetries},
                                    .deadline = std::chrono::steady_clock::now() + timeout_,
                                    .try_timeout = kTryTimeout,
                                    .may_repeat = MayRepeat(request.method),
                                    .wait_when_busy = false});
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
