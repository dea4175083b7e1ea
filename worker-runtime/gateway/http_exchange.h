// One request and its one answer, and the row of the router's table it belongs to.
//
// Held by whoever still has to do with it; answered exactly once, from any thread. One that is
// dropped without an answer was forgotten by us: 503, and an error in the log.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "worker-runtime/base/time.h"
#include "worker-runtime/gateway/authorizer.h"
#include "worker-runtime/gateway/http_problem.h"
#include "worker-runtime/gateway/http_target.h"

// Only those who have to read cpprestsdk's headers do.
namespace web::http {
class http_request;
}

namespace lanekeeper::gateway {

class Exchange;
class HttpStream;  // http_transport.h
using ExchangePtr = std::shared_ptr<Exchange>;
using HttpHandler = std::function<void(const ExchangePtr&)>;

enum class Access {
  kPublic,  // Nobody is asked who they are.
  kPool,    // `verb` in the namespace and pool of the path.
  kJob,     // `verb` in the pool that the job's id names.
  kOwn,     // The handler asks.
};

// A row of the router's table. `path` is a template as in openapi.json.
struct HttpRoute {
  std::string_view method;
  std::string_view path;
  Access access = Access::kPool;
  Verb verb = Verb::kGet;
  std::string_view media;  // Of the answer; empty: none, or any.
  std::vector<std::string_view> query;
  HttpHandler handler;
};

// What becomes known of an exchange when it was answered.
struct ExchangeEnd {
  const HttpRoute* route = nullptr;  // Null: no such path.
  int status = 0;
  std::optional<ProblemType> problem;
  std::chrono::nanoseconds took{0};
};

class Exchange {
 public:
  using Ended = std::function<void(const ExchangeEnd&)>;

  // `ended` is called once, with the answer.
  Exchange(const web::http::http_request& request, std::string request_id, MonotonicTime started,
           Ended ended);
  ~Exchange();
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  const std::string& request_id() const { return request_id_; }
  const web::http::http_request& request() const { return *request_; }
  std::string Method() const;
  // Empty when there is none.
  std::string Header(const char* name) const;
  std::vector<std::pair<std::string, std::string>> Headers() const;
  // See CallerToken.
  Answer<std::string> Token() const;
  // See OnClientGone.
  void OnGone(std::function<void()> gone) const;

  // Set by the router, before the handler runs.
  void SetRoute(const HttpRoute* route, std::map<std::string, std::string, std::less<>> params);
  void SetQuery(std::map<std::string, std::string, std::less<>> query);
  void SetCaller(Caller caller) { caller_ = std::move(caller); }
  void SetPool(std::string pool_namespace, std::string pool);
  // Headers that the answer gets besides its own: CORS.
  void AddAnswerHeader(std::string name, std::string value);

  const HttpRoute* route() const { return route_; }
  const std::string& Param(std::string_view name) const;
  const std::string* Query(std::string_view name) const;  // Null: not given.
  const Caller& caller() const { return caller_; }
  // Of the path, or of the job's id.
  const std::string& pool_namespace() const { return Param("namespace"); }
  const std::string& pool() const { return Param("pool"); }

  // The body; the second call returns nothing.
  std::string TakeBody();

  void Reply(HttpReply reply);
  void Refuse(const Problem& problem);
  void Refuse(ProblemType type, std::string detail);
  // The answer is a stream; see StartStream. Null when the client has gone.
  std::shared_ptr<HttpStream> Stream(std::string media, std::function<void()> gone);
  bool answered() const { return answered_.load(); }

 private:
  void Send(HttpReply reply, std::optional<ProblemType> problem);
  void End(int status, std::optional<ProblemType> problem);

  const std::unique_ptr<web::http::http_request> request_;
  const std::string request_id_;
  const MonotonicTime started_;
  const Ended ended_;
  const HttpRoute* route_ = nullptr;
  std::map<std::string, std::string, std::less<>> params_;
  std::map<std::string, std::string, std::less<>> query_;
  std::vector<std::pair<std::string, std::string>> answer_headers_;
  Caller caller_;
  std::atomic<bool> answered_{false};
};

}  // namespace lanekeeper::gateway
