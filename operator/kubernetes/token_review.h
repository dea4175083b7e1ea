// Who a gateway's caller is and what they may do, as the API server says: TokenReview, then
// SubjectAccessReview for a verb on workerpools/jobs of lanekeeper.dev.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "operator/kubernetes/api.h"
#include "worker-runtime/gateway/authorizer.h"

namespace lanekeeper::kubernetes {

// A user as a TokenReview names them; what a SubjectAccessReview is asked about.
struct ReviewedUser {
  std::string name;
  std::string uid;
  std::vector<std::string> groups;
  std::string extra_json;  // An object; empty: none.
  bool operator==(const ReviewedUser&) const = default;
};

// Requests and answers; pure. `audiences` empty: those of the API server.
Request TokenReviewRequest(std::string_view token, const std::vector<std::string>& audiences);
// kUnauthenticated when the token is not valid, kAuthUnavailable for an answer that says nothing.
gateway::Answer<ReviewedUser> ReadTokenReview(std::string_view body);

// An empty namespace asks about all, an empty pool about all in the namespace.
Request AccessReviewRequest(const ReviewedUser& user, gateway::Verb verb,
                            std::string_view pool_namespace, std::string_view pool);
// kForbidden, with the server's reason; kAuthUnavailable.
gateway::Answer<void> ReadAccessReview(std::string_view body, const ReviewedUser& user,
                                       gateway::Verb verb, std::string_view pool_namespace);

struct KubernetesAuthorizerOptions {
  std::vector<std::string> audiences;
  int threads = 4;
  std::size_t queue_max = 256;  // Requests that wait for a thread; beyond that kAuthUnavailable.
  std::chrono::milliseconds deadline{5'000};  // Of each of the two calls.
};

// Asks for every call: put MakeCachingAuthorizer around it. `api` outlives it. Its identity needs
// create on tokenreviews and subjectaccessreviews (ClusterRole system:auth-delegator).
std::unique_ptr<gateway::Authorizer> MakeKubernetesAuthorizer(
    Api& api, KubernetesAuthorizerOptions options = {});

}  // namespace lanekeeper::kubernetes
