#include "cli/remote/gateway_token.h"

#include <algorithm>
#include <chrono>
#include <fstream>
#include <nlohmann/json.hpp>
#include <utility>

#include "operator/kubernetes/requests.h"
#include "worker-runtime/base/percent_encode.h"

namespace lanekeeper::cli {
namespace {

using kubernetes::ObjectName;
using nlohmann::json;

constexpr std::size_t kTokenBytesMax = 64 * 1024;
constexpr std::chrono::seconds kTokenTime{3600};
// Of which so much is left when the next one is asked for.
constexpr std::chrono::seconds kTokenRest{600};

// The first word: tokens have no spaces.
std::string FirstWord(const std::string& text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_first_of(kSpace, begin) - begin);
}

class FixedToken final : public GatewayToken {
 public:
  explicit FixedToken(std::string token) : token_(std::move(token)) {}
  Result<std::string> Current(MonotonicTime /*now*/) override { return token_; }
  std::string why_none() override { return "none was given"; }

 private:
  const std::string token_;
};

class KubeConfigToken final : public GatewayToken {
 public:
  explicit KubeConfigToken(kubernetes::ApiClient& api) : api_(api) {}
  Result<std::string> Current(MonotonicTime /*now*/) override { return api_.Token(); }
  std::string why_none() override { return "the kubeconfig's user has none any more"; }

 private:
  kubernetes::ApiClient& api_;
};

class ServiceAccountToken final : public GatewayToken {
 public:
  ServiceAccountToken(kubernetes::Api& api, ObjectName account)
      : api_(api), account_(std::move(account)) {}

  Result<std::string> Current(MonotonicTime now) override {
    const std::lock_guard lock(mutex_);
    if (now < ask_again_at_) return token_;
    const auto answer = api_.Call(Request(), {});
    if (!answer) {
      const ErrorKind kind = answer.error().kind;
      if (kind != ErrorKind::kNotFound && kind != ErrorKind::kForbidden) {
        return Wrap(answer.error(), "asking for a token of " + ToString(account_));
      }
      token_.clear();
      why_none_ = "service account " + ToString(account_) + ": " + answer.error().message;
    } else {
      const json granted = json::parse(answer->body, nullptr, /*allow_exceptions=*/false);
      const json::json_pointer place("/status/token");
      if (!granted.is_object() || !granted.contains(place) || !granted[place].is_string()) {
        return Fail(ErrorKind::kRetryable, "asking for a token of " + ToString(account_) +
                                               ": there is none in the answer");
      }
      token_ = granted[place].get<std::string>();
    }
    ask_again_at_ = now + kTokenTime - kTokenRest;
    return token_;
  }

  std::string why_none() override {
    const std::lock_guard lock(mutex_);
    return why_none_;
  }

 private:
  kubernetes::Request Request() const {
    const json wanted{{"apiVersion", "authentication.k8s.io/v1"},
                      {"kind", "TokenRequest"},
                      {"spec", {{"expirationSeconds", kTokenTime.count()}}}};
    return {.method = "POST",
            .path = "/api/v1/namespaces/" + PercentEncode(account_.object_namespace) +
                    "/serviceaccounts/" + PercentEncode(account_.name) + "/token",
            .query = {},
            .content_type = "application/json",
            .body = wanted.dump(),
            .headers = {}};
  }

  kubernetes::Api& api_;
  const ObjectName account_;
  std::mutex mutex_;
  std::string token_;
  std::string why_none_;
  MonotonicTime ask_again_at_ = MonotonicTime::min();
};

}  // namespace

Result<std::string> GivenToken(const std::string& token_file,
                               const kubernetes::EnvironmentLookup& environment) {
  const std::string file =
      token_file.empty() ? environment("LANEKEEPER_TOKEN_FILE").value_or("") : token_file;
  if (file.empty()) return FirstWord(environment("LANEKEEPER_TOKEN").value_or(""));
  std::ifstream stream(file, std::ios::binary);
  if (!stream) return Fail(ErrorKind::kForbidden, "cannot read the token file " + file);
  std::string text(kTokenBytesMax, '\0');
  stream.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(stream.gcount(), 0)));
  std::string token = FirstWord(text);
  if (token.empty()) return Fail(ErrorKind::kForbidden, "there is no token in " + file);
  return token;
}

std::unique_ptr<GatewayToken> MakeFixedToken(std::string token) {
  return std::make_unique<FixedToken>(std::move(token));
}

std::unique_ptr<GatewayToken> MakeKubeConfigToken(kubernetes::ApiClient& api) {
  return std::make_unique<KubeConfigToken>(api);
}

std::unique_ptr<GatewayToken> MakeServiceAccountToken(kubernetes::Api& api, ObjectName account) {
  return std::make_unique<ServiceAccountToken>(api, std::move(account));
}

}  // namespace lanekeeper::cli
