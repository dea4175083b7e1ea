// What a gateway behind the service proxy is shown. The API server takes the Authorization header
// for itself, so the token travels in one of Lanekeeper's own.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "operator/kubernetes/api.h"
#include "operator/kubernetes/api_client.h"
#include "operator/kubernetes/kubeconfig.h"
#include "operator/kubernetes/object_names.h"
#include "worker-runtime/base/result.h"
#include "worker-runtime/base/time.h"

namespace lanekeeper::cli {

inline constexpr const char* kTokenHeader = "Lanekeeper-Authorization";
inline constexpr const char* kDefaultServiceAccount = "lanekeeper-cli";

// The token of --token-file, LANEKEEPER_TOKEN_FILE or LANEKEEPER_TOKEN, in this order; empty: none
// was given. kForbidden when a file cannot be read or has none.
Result<std::string> GivenToken(const std::string& token_file,
                               const kubernetes::EnvironmentLookup& environment);

// Any thread.
class GatewayToken {
 public:
  virtual ~GatewayToken() = default;
  // Empty: there is none, and why_none() says why. Errors: it could not be found out.
  virtual Result<std::string> Current(MonotonicTime now) = 0;
  virtual std::string why_none() = 0;
};

std::unique_ptr<GatewayToken> MakeFixedToken(std::string token);
// The kubeconfig's own: what `api` shows the API server. `api` must outlive it.
std::unique_ptr<GatewayToken> MakeKubeConfigToken(kubernetes::ApiClient& api);
// Asked of the API server for that account, and again before it ends. There is none when there is
// no such account or one may not ask. `api` must outlive it.
std::unique_ptr<GatewayToken> MakeServiceAccountToken(kubernetes::Api& api,
                                                      kubernetes::ObjectName account);

}  // namespace lanekeeper::cli
