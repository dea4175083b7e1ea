#include "cli/remote/service_proxy.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

namespace lanekeeper::cli {
namespace {

using client::HttpReply;
using client::HttpRequest;
using kubernetes::Answer;
using nlohmann::json;
using std::chrono::milliseconds;

milliseconds Left(MonotonicTime deadline) {
  const auto left = std::chrono::ceil<milliseconds>(deadline - std::chrono::steady_clock::now());
  return std::clamp<milliseconds>(left, milliseconds(1), std::chrono::hours(24 * 365));
}

// The API server's own word; a gateway's refusals are problems of RFC 9457.
bool IsStatus(const std::string& body) {
  const json object = json::parse(body, nullptr, /*allow_exceptions=*/false);
  return object.is_object() && object.value("kind", json()) == "Status" &&
         object.value("apiVersion", json()) == "v1";
}

class ServiceProxy final : public client::HttpCaller {
 public:
  ServiceProxy(std::shared_ptr<kubernetes::ApiClient> api, const GatewayService& service,
               std::unique_ptr<GatewayToken> token)
      : api_(std::move(api)),
        name_(ToString(service.name)),
        path_(ProxyPath(service)),
        token_(std::move(token)) {}

  Result<HttpReply> Call(const HttpRequest& request, MonotonicTime deadline,
                         const std::stop_token& stop) override {
    auto built = Build(request);
    if (!built) return tl::unexpected<Error>(std::move(built).error());
    return ToReply(api_->Forward(built->request, {.deadline = Left(deadline), .stop = stop}),
                   built->has_token);
  }

  Result<HttpReply> Stream(const HttpRequest& request, MonotonicTime deadline,
                           milliseconds silence_max, const std::stop_token& stop,
                           const Take& take) override {
    auto built = Build(request);
    if (!built) return tl::unexpected<Error>(std::move(built).error());
    return ToReply(api_->ForwardStream(built->request, {.deadline = Left(deadline), .stop = stop},
                                       silence_max, take),
                   built->has_token);
  }

 private:
  struct Built {
    kubernetes::Request request;
    bool has_token = false;
  };

  Result<Built> Build(const HttpRequest& request) const {
    auto token = token_->Current(std::chrono::steady_clock::now());
    if (!token) return tl::unexpected<Error>(std::move(token).error());
    const std::size_t question = std::min(request.path.find('?'), request.path.size());
    Built built{
        .request = {.method = request.method,
                    .path = path_ + request.path.substr(0, question),
                    .query = request.path.substr(std::min(question + 1, request.path.size())),
                    .content_type = request.content_type,
                    .body = request.body,
                    .headers = request.headers},
        .has_token = !token->empty()};
    if (built.has_token) built.request.headers.emplace_back(kTokenHeader, "Bearer " + *token);
    return built;
  }

  Result<HttpReply> ToReply(Result<Answer> answer, bool had_token) const {
    if (!answer) return tl::unexpected<Error>(std::move(answer).error());
    if (answer->status >= 400 && IsStatus(answer->body)) {
      const bool forbidden = answer->status == 403;
      const Error error = Accepted(*std::move(answer)).error();
      return Fail(error.kind, "through the API server to service " + name_ + ": " + error.message +
                                  (forbidden ? "; it takes the right to get and create "
                                               "services/proxy there, or --gateway URL"
                                             : ""));
    }
    if (answer->status == 401 && !had_token) {
      return Fail(ErrorKind::kForbidden,
                  "the gateway " + name_ + " wants a token and there is none (" +
                      token_->why_none() +
                      "): give one with --token-file or LANEKEEPER_TOKEN; or name the gateway with "
                      "--gateway-service, which sends it the kubeconfig's token; or name with "
                      "--service-account NAMESPACE/NAME an account that may use workerpools/jobs");
    }
    return HttpReply{.status = answer->status,
                     .retry_after = answer->retry_after,
                     .body = std::move(answer->body)};
  }

  const std::shared_ptr<kubernetes::ApiClient> api_;
  const std::string name_;
  const std::string path_;
  const std::unique_ptr<GatewayToken> token_;
};

}  // namespace

std::unique_ptr<client::HttpCaller> MakeServiceProxy(std::shared_ptr<kubernetes::ApiClient> api,
                                                     const GatewayService& service,
                                                     std::unique_ptr<GatewayToken> token) {
  return std::make_unique<ServiceProxy>(std::move(api), service, std::move(token));
}

}  // namespace lanekeeper::cli
