#include "operator/kubernetes/token_review.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <nlohmann/json.hpp>
#include <stop_token>
#include <thread>
#include <utility>

#include "worker-runtime/base/log.h"

namespace lanekeeper::kubernetes {
namespace {

using gateway::Caller;
using gateway::Problem;
using gateway::ProblemType;
using nlohmann::json;

constexpr std::size_t kTokenBytesMax = 16 * 1024;
constexpr std::chrono::seconds kTryAgain{2};

Problem Unavailable(std::string detail) {
  return {ProblemType::kAuthUnavailable, std::move(detail), kTryAgain};
}

std::string TextOf(const json& object, const char* name) {
  const auto found = object.find(name);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// The status of a review that was answered; null when there is none.
json StatusOf(std::string_view body) {
  const json review = json::parse(body, nullptr, false);
  if (!review.is_object()) return nullptr;
  const auto status = review.find("status");
  return status != review.end() && status->is_object() ? *status : json(nullptr);
}

Request Create(const char* api_path, const char* plural, const json& review) {
  // A token that is no text is not valid either way.
  return {.method = "POST",
          .path = std::string(api_path) + "/" + plural,
          .content_type = "application/json",
          .body = review.dump(-1, ' ', false, json::error_handler_t::replace)};
}

}  // namespace

Request TokenReviewRequest(std::string_view token, const std::vector<std::string>& audiences) {
  json review{{"apiVersion", "authentication.k8s.io/v1"},
              {"kind", "TokenReview"},
              {"spec", {{"token", token}}}};
  if (!audiences.empty()) review["spec"]["audiences"] = audiences;
  return Create("/apis/authentication.k8s.io/v1", "tokenreviews", review);
}

gateway::Answer<ReviewedUser> ReadTokenReview(std::string_view body) {
  const json status = StatusOf(body);
  if (status.is_null()) return tl::unexpected(Unavailable("the API server's answer has no status"));
  const auto authenticated = status.find("authenticated");
  if (authenticated == status.end() || *authenticated != true) {
    // `error` may be the server's own trouble, and may quote the token: it is not handed on.
    return gateway::Refuse(ProblemType::kUnauthenticated, "the token is not valid in this cluster");
  }
  const auto user = status.find("user");
  if (user == status.end() || !user->is_object() || TextOf(*user, "username").empty()) {
    return tl::unexpected(Unavailable("the API server's answer names no user"));
  }
  ReviewedUser reviewed{.name = TextOf(*user, "username"), .uid = TextOf(*user, "uid")};
  if (const auto groups = user->find("groups"); groups != user->end() && groups->is_array()) {
    for (const json& group : *groups) {
      if (group.is_string()) reviewed.groups.push_back(group.get<std::string>());
    }
  }
  if (const auto extra = user->find("extra"); extra != user->end() && extra->is_object()) {
    reviewed.extra_json = extra->dump();
  }
  return reviewed;
}

Request AccessReviewRequest(const ReviewedUser& user, gateway::Verb verb,
                            std::string_view pool_namespace, std::string_view pool) {
  json attributes{{"group", "lanekeeper.dev"},
                  {"resource", "workerpools"},
                  {"subresource", "jobs"},
                  {"verb", gateway::NameOf(verb)}};
  if (!pool_namespace.empty()) attributes["namespace"] = pool_namespace;
  if (!pool.empty()) attributes["name"] = pool;
  json spec{{"user", user.name}, {"resourceAttributes", std::move(attributes)}};
  if (!user.uid.empty()) spec["uid"] = user.uid;
  if (!user.groups.empty()) spec["groups"] = user.groups;
  if (!user.extra_json.empty()) spec["extra"] = json::parse(user.extra_json, nullptr, false);
  return Create("/apis/authorization.k8s.io/v1", "subjectaccessreviews",
                {{"apiVersion", "authorization.k8s.io/v1"},
                 {"kind", "SubjectAccessReview"},
                 {"spec", std::move(spec)}});
}

gateway::Answer<void> ReadAccessReview(std::string_view body, const ReviewedUser& user,
                                       gateway::Verb verb, std::string_view pool_namespace) {
  const json status = StatusOf(body);
  if (status.is_null()) return tl::unexpected(Unavailable("the API server's answer has no status"));
  const auto is_true = [&](const char* name) {
    const auto found = status.find(name);
    return found != status.end() && *found == true;
  };
  if (is_true("allowed") && !is_true("denied")) return {};
  std::string detail = user.name + " may not " + std::string(gateway::NameOf(verb)) +
                       " workerpools/jobs of lanekeeper.dev in " +
                       (pool_namespace.empty() ? std::string("every namespace")
                                               : "namespace " + std::string(pool_namespace)) +
                       "; a Role with that verb on that resource gives the right";
  return gateway::Refuse(ProblemType::kForbidden, std::move(detail));
}

namespace {

class KubernetesAuthorizer final : public gateway::Authorizer {
 public:
  KubernetesAuthorizer(Api& api, KubernetesAuthorizerOptions options)
      : api_(api), options_(std::move(options)) {
    for (int i = 0; i < options_.threads; ++i) {
      threads_.emplace_back([this](const std::stop_token& stop) { Work(stop); });
    }
  }
  ~KubernetesAuthorizer() override {
    for (std::jthread& thread : threads_) thread.request_stop();
    threads_.clear();
    for (Question& question : queue_) {
      question.then(tl::unexpected(Unavailable("the gateway stops")));
    }
  }
  KubernetesAuthorizer(const KubernetesAuthorizer&) = delete;
  KubernetesAuthorizer& operator=(const KubernetesAuthorizer&) = delete;

  void Authorize(std::string_view token, gateway::Verb verb, std::string_view pool_namespace,
                 std::string_view pool, gateway::Then<Caller> then) override {
    if (token.empty() || token.size() > kTokenBytesMax) {
      return then(gateway::Refuse(ProblemType::kUnauthenticated,
                                  token.empty()
                                      ? "send a token as \"Authorization: Bearer <token>\""
                                      : "the token is too long to be one"));
    }
    {
      const std::lock_guard lock(mutex_);
      if (queue_.size() < options_.queue_max) {
        queue_.push_back({std::string(token), verb, std::string(pool_namespace), std::string(pool),
                          std::move(then)});
        changed_.notify_one();
        return;
      }
    }
    then(tl::unexpected(Unavailable("too many callers wait to be checked; try again")));
  }

 private:
  struct Question {
    std::string token;
    gateway::Verb verb = gateway::Verb::kGet;
    std::string pool_namespace;
    std::string pool;
    gateway::Then<Caller> then;
  };

  void Work(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    while (changed_.wait(lock, stop, [this] { return !queue_.empty(); })) {
      if (stop.stop_requested()) return;
      Question question = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      question.then(Review(question, stop));
      question = {};
      lock.lock();
    }
  }

  gateway::Answer<Caller> Review(const Question& question, const std::stop_token& stop) const {
    const auto token = Call(TokenReviewRequest(question.token, options_.audiences), stop);
    if (!token) return tl::unexpected(token.error());
    const gateway::Answer<ReviewedUser> user = ReadTokenReview(*token);
    if (!user) return tl::unexpected(user.error());
    const auto access = Call(
        AccessReviewRequest(*user, question.verb, question.pool_namespace, question.pool), stop);
    if (!access) return tl::unexpected(access.error());
    const gateway::Answer<void> allowed =
        ReadAccessReview(*access, *user, question.verb, question.pool_namespace);
    if (!allowed) return tl::unexpected(allowed.error());
    // It becomes a header of the job.
    return user->name.substr(0, gateway::kCallerBytesMax);
  }

  // Whatever goes wrong here is no fault of the caller.
  gateway::Answer<std::string> Call(const Request& request, const std::stop_token& stop) const {
    Result<Answer> answer = api_.Call(request, {.deadline = options_.deadline, .stop = stop});
    if (answer) return std::move(answer->body);
    log::Warning("authorizer", "review_failed",
                 {{"path", request.path}, {"error", answer.error().message}});
    return tl::unexpected(
        Unavailable(answer.error().kind == ErrorKind::kForbidden
                        ? "the gateway may not ask who callers are; it needs the ClusterRole "
                          "system:auth-delegator"
                        : "the API server could not be asked who the caller is"));
  }

  Api& api_;
  const KubernetesAuthorizerOptions options_;
  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Question> queue_;
  std::vector<std::jthread> threads_;
};

}  // namespace

std::unique_ptr<gateway::Authorizer> MakeKubernetesAuthorizer(Api& api,
                                                              KubernetesAuthorizerOptions options) {
  return std::make_unique<KubernetesAuthorizer>(api, std::move(options));
}

}  // namespace lanekeeper::kubernetes
