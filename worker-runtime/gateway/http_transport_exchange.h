// One request and its answer: what the request's owner, who may be on any thread, shares with the
// connection, which is on the loop's.
#pragma once

#include <cpprest/containerstream.h>
#include <cpprest/details/http_server.h>
#include <cpprest/http_msg.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "worker-runtime/gateway/http_transport_answer.h"

namespace lanekeeper::gateway::transport {

class Connection;
class Loop;
class StreamState;
struct Route;

class Exchange : public std::enable_shared_from_this<Exchange> {
 public:
  Exchange(Loop& loop_of, AnswerTerms terms_of) : loop(loop_of), terms(terms_of) {}

  Loop& loop;
  const AnswerTerms terms;
  std::size_t body_bytes = 0;

  // The first to call it answers; the others get false. Any thread.
  bool Claim() { return !claimed_.exchange(true); }

  // Any thread. Called at once, later, or (once it is over) never.
  void OnGone(std::function<void()> gone);

  // The loop's thread.
  void TellGone();
  // Forgets the connection and what OnGone was given, and completes what Respond returned.
  void End(bool sent);
  std::shared_ptr<Connection> connection;  // Null once it has ended.
  std::shared_ptr<Route> route;            // May be null: answered by the transport.
  std::shared_ptr<StreamState> stream;     // Null: an answer in one piece.
  std::function<void()> on_written;        // The next piece of a long body.

  // Any thread: answers with what the transport itself has to say.
  void Refuse(const Refusal& refusal);
  // Any thread: answers with `response`.
  pplx::task<void> Respond(web::http::http_response response);

 private:
  pplx::task<void> Completion();

  std::atomic<bool> claimed_{false};
  std::mutex mutex_;
  std::function<void()> gone_;
  std::optional<pplx::task_completion_event<void>> completion_;
  bool sent_ = false;
  bool client_gone_ = false;
  bool over_ = false;
};
using ExchangePtr = std::shared_ptr<Exchange>;

// What a request carries of its exchange. A request that is dropped without an answer gets one.
class RequestContext final : public web::http::details::_http_server_context {
 public:
  RequestContext(ExchangePtr its_exchange, concurrency::streams::container_buffer<std::string> body)
      : exchange(std::move(its_exchange)), body_of_request(std::move(body)) {}
  ~RequestContext() override;
  RequestContext(const RequestContext&) = delete;
  RequestContext& operator=(const RequestContext&) = delete;

  const ExchangePtr exchange;
  concurrency::streams::container_buffer<std::string> body_of_request;
};
// Null for a request of another server, or one that was answered.
RequestContext* ContextOf(const web::http::http_request& request);

// Runs continuations where their task ends: a reply costs no hop to another thread.
const pplx::task_options& Inline();

}  // namespace lanekeeper::gateway::transport
