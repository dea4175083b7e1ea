#include "worker-runtime/gateway/http_exchange.h"

#include <cpprest/http_msg.h>

#include <exception>
#include <utility>

#include "worker-runtime/base/log.h"
#include "worker-runtime/gateway/http_transport.h"

namespace lanekeeper::gateway {
namespace {

// A client that went away makes the reply fail, later and on another thread.
void IgnoreFailure(const pplx::task<void>& sent, const std::string& request_id) {
  try {
    sent.get();
  } catch (const std::exception& error) {
    log::Debug("http", "reply_failed", {{"request", request_id}, {"error", error.what()}});
  }
}

std::chrono::nanoseconds Since(MonotonicTime started) {
  return std::chrono::steady_clock::now() - started;
}

}  // namespace

Exchange::Exchange(const web::http::http_request& request, std::string request_id,
                   MonotonicTime started, Ended ended)
    : request_(std::make_unique<web::http::http_request>(request)),
      request_id_(std::move(request_id)),
      started_(started),
      ended_(std::move(ended)) {}

Exchange::~Exchange() {
  if (answered_) return;
  log::Error("http", "forgotten",
             {{"request", request_id_}, {"route", route_ != nullptr ? route_->path : "-"}});
  Refuse(Problem{ProblemType::kQueueUnavailable, "the request was dropped by the gateway",
                 std::chrono::seconds(1)});
}

std::string Exchange::Header(const char* name) const {
  const auto& headers = request_->headers();
  const auto found = headers.find(name);
  return found == headers.end() ? std::string() : found->second;
}

std::vector<std::pair<std::string, std::string>> Exchange::Headers() const {
  const auto& headers = request_->headers();
  return {headers.begin(), headers.end()};
}

Answer<std::string> Exchange::Token() const {
  return CallerToken(Header("Authorization"), Header("Lanekeeper-Authorization"));
}

std::string Exchange::Method() const { return request_->method(); }

void Exchange::OnGone(std::function<void()> gone) const {
  OnClientGone(*request_, std::move(gone));
}

void Exchange::SetRoute(const HttpRoute* route,
                        std::map<std::string, std::string, std::less<>> params) {
  route_ = route;
  params_ = std::move(params);
}

void Exchange::SetQuery(std::map<std::string, std::string, std::less<>> query) {
  query_ = std::move(query);
}

void Exchange::SetPool(std::string pool_namespace, std::string pool) {
  params_["namespace"] = std::move(pool_namespace);
  params_["pool"] = std::move(pool);
}

void Exchange::AddAnswerHeader(std::string name, std::string value) {
  answer_headers_.emplace_back(std::move(name), std::move(value));
}

const std::string& Exchange::Param(std::string_view name) const {
  static const std::string kNone;
  const auto found = params_.find(name);
  return found == params_.end() ? kNone : found->second;
}

const std::string* Exchange::Query(std::string_view name) const {
  const auto found = query_.find(name);
  return found == query_.end() ? nullptr : &found->second;
}

std::string Exchange::TakeBody() {
  // The transport hands a request over when all of its body is there: nothing here waits.
  std::string body;
  try {
    const concurrency::streams::istream stream = request_->body();
    if (!stream.is_valid()) return body;
    auto buffer = stream.streambuf();
    body.resize(buffer.in_avail());
    if (body.empty()) return body;
    const std::size_t got =
        buffer.getn(reinterpret_cast<std::uint8_t*>(body.data()), body.size()).get();
    body.resize(got);
  } catch (const std::exception& error) {
    log::Debug("http", "body_failed", {{"request", request_id_}, {"error", error.what()}});
    body.clear();
  }
  return body;
}

void Exchange::Reply(HttpReply reply) { Send(std::move(reply), std::nullopt); }

void Exchange::Refuse(const Problem& problem) { Send(ReplyOf(problem, request_id_), problem.type); }

void Exchange::Refuse(ProblemType type, std::string detail) {
  Refuse(Problem{type, std::move(detail), std::nullopt});
}

void Exchange::Send(HttpReply reply, std::optional<ProblemType> problem) {
  if (answered_.exchange(true)) return;
  try {
    web::http::http_response response(static_cast<web::http::status_code>(reply.status));
    auto& headers = response.headers();
    headers.add("X-Request-Id", request_id_);
    headers.add("X-Content-Type-Options", "nosniff");
    bool has_cache_control = false;
    for (const auto& [name, value] : reply.headers) {
      has_cache_control = has_cache_control || name == "Cache-Control";
      headers.add(name, value);
    }
    if (!has_cache_control) headers.add("Cache-Control", "no-store");
    for (const auto& [name, value] : answer_headers_) headers.add(name, value);
    // Of an answer to HEAD the transport leaves the body out.
    if (!reply.body.empty()) response.set_body(std::move(reply.body), reply.media);
    End(reply.status, problem);
    const pplx::task<void> sent = request_->reply(response);
    if (sent.is_done()) {
      IgnoreFailure(sent, request_id_);
    } else {
      sent.then([id = request_id_](const pplx::task<void>& done) { IgnoreFailure(done, id); });
    }
  } catch (const std::exception& error) {
    log::Warning("http", "reply_failed", {{"request", request_id_}, {"error", error.what()}});
  }
}

std::shared_ptr<HttpStream> Exchange::Stream(std::string media, std::function<void()> gone) {
  if (answered_.exchange(true)) return nullptr;
  std::vector<std::pair<std::string, std::string>> headers{
      {"Content-Type", std::move(media)},
      {"X-Request-Id", request_id_},
      {"X-Content-Type-Options", "nosniff"},
      {"Cache-Control", "no-store"},
      // Proxies that collect an answer before they hand it on.
      {"X-Accel-Buffering", "no"}};
  headers.insert(headers.end(), answer_headers_.begin(), answer_headers_.end());
  End(200, std::nullopt);
  return StartStream(*request_, 200, headers, std::move(gone));
}

void Exchange::End(int status, std::optional<ProblemType> problem) {
  const std::chrono::nanoseconds took = Since(started_);
  log::Debug("http", "answered",
             {{"request", request_id_},
              {"method", Method()},
              {"route", route_ != nullptr ? route_->path : "-"},
              {"status", status},
              {"problem", problem ? NameOf(*problem) : std::string_view("-")},
              {"caller", caller_.empty() ? "-" : caller_},
              {"took_us", std::chrono::duration_cast<std::chrono::microseconds>(took).count()}});
  if (ended_) ended_({route_, status, problem, took});
}

}  // namespace lanekeeper::gateway
