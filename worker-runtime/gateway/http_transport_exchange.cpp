#include "worker-runtime/gateway/http_transport_exchange.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "worker-runtime/gateway/http_transport_connection.h"
#include "worker-runtime/gateway/http_transport_loop.h"
#include "worker-runtime/gateway/http_transport_stream.h"

namespace lanekeeper::gateway::transport {
namespace {

using web::http::http_exception;

// pplx's interface has no virtual destructor; the one below is destroyed as what it is.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor"
class InlineScheduler final : public pplx::scheduler_interface {
 public:
  void schedule(pplx::TaskProc_t run, void* with) override { run(with); }
};
#pragma GCC diagnostic pop

const pplx::task<void>& Sent() {
  static const auto& sent = *new pplx::task<void>(pplx::task_from_result(Inline()));
  return sent;
}

std::exception_ptr ClientGone() {
  return std::make_exception_ptr(http_exception("the client has gone"));
}

// Copies a body that is not in memory, piece by piece, each when the one before has been sent.
class BodyPump : public std::enable_shared_from_this<BodyPump> {
 public:
  BodyPump(ExchangePtr exchange, const concurrency::streams::istream& body, Framing framing,
           std::uint64_t length)
      : exchange_(std::move(exchange)),
        body_(body.streambuf()),
        framing_(framing),
        left_(length),
        piece_(kPiece) {}

  void Next() {  // The loop's thread.
    const std::size_t wanted =
        framing_ == Framing::kLength ? std::min<std::uint64_t>(left_, kPiece) : kPiece;
    if (wanted == 0) return Got(0, false);
    body_.getn(piece_.data(), wanted)
        .then([self = shared_from_this()](const pplx::task<std::size_t>& read) {
          std::size_t count = 0;
          bool failed = false;
          try {
            count = read.get();
          } catch (...) {
            failed = true;
          }
          self->exchange_->loop.Post([self, count, failed] { self->Got(count, failed); });
        });
  }

 private:
  static constexpr std::size_t kPiece = 64 * 1024;

  void Got(std::size_t count, bool failed) {
    const auto connection = exchange_->connection;
    if (!connection) return;
    const bool known = framing_ == Framing::kLength;
    // The client sees that the answer is not whole.
    if (failed || (known && count == 0 && left_ > 0)) return connection->Close();
    if (known) left_ -= count;
    const bool last = known ? left_ == 0 : count == 0;
    std::string bytes;
    const std::string_view read(reinterpret_cast<const char*>(piece_.data()), count);
    if (framing_ == Framing::kChunks) {
      if (!read.empty()) AppendChunk(bytes, read);
      if (last) bytes += kLastChunk;
    } else {
      bytes = read;
    }
    if (last) return connection->FinishStream(bytes);
    exchange_->on_written = [self = shared_from_this()] { self->Next(); };
    connection->WritePiece(std::move(bytes));
  }

  const ExchangePtr exchange_;
  concurrency::streams::streambuf<std::uint8_t> body_;
  const Framing framing_;
  std::uint64_t left_;
  std::vector<std::uint8_t> piece_;
};

void Start(const ExchangePtr& exchange, WrittenAnswer written,
           const concurrency::streams::istream& body) {
  const auto connection = exchange->connection;
  if (!connection) return;
  if (!written.body_left) return connection->Answer(std::move(written.answer), false);
  const auto pump = std::make_shared<BodyPump>(exchange, body, written.framing, written.length);
  exchange->on_written = [pump] { pump->Next(); };
  connection->Answer(std::move(written.answer), true);
}

}  // namespace

const pplx::task_options& Inline() {
  static const auto& options = *new pplx::task_options(std::make_shared<InlineScheduler>());
  return options;
}

void Exchange::OnGone(std::function<void()> gone) {
  {
    const std::lock_guard lock(mutex_);
    if (!client_gone_) {
      if (!over_) gone_ = std::move(gone);
      return;
    }
  }
  loop.Post(std::move(gone));
}

void Exchange::TellGone() {
  std::function<void()> gone;
  {
    const std::lock_guard lock(mutex_);
    client_gone_ = true;
    gone = std::exchange(gone_, nullptr);
  }
  if (gone) gone();
}

void Exchange::End(bool sent) {
  if (!connection) return;
  const auto self = shared_from_this();
  connection.reset();
  on_written = nullptr;
  stream.reset();
  loop.bodies_bytes -= std::exchange(body_bytes, 0);
  std::function<void()> gone;
  std::optional<pplx::task_completion_event<void>> completion;
  {
    const std::lock_guard lock(mutex_);
    over_ = true;
    sent_ = sent;
    gone = std::exchange(gone_, nullptr);
    completion.swap(completion_);
  }
  if (completion) {
    if (sent) {
      completion->set();
    } else {
      completion->set_exception(ClientGone());
    }
  }
  if (route) route->OneLess();
}

void Exchange::Refuse(const Refusal& refusal) {
  if (!Claim()) return;
  loop.Run([self = shared_from_this(), answer = WriteRefusal(refusal, terms)]() mutable {
    const auto its_connection = self->connection;
    if (its_connection) its_connection->Answer(std::move(answer), false);
  });
}

pplx::task<void> Exchange::Completion() {
  const std::lock_guard lock(mutex_);
  if (over_) return sent_ ? Sent() : pplx::task_from_exception<void>(ClientGone(), Inline());
  completion_.emplace();
  return pplx::create_task(*completion_, Inline());
}

pplx::task<void> Exchange::Respond(web::http::http_response response) {
  if (!Claim()) {
    return pplx::task_from_exception<void>(
        std::make_exception_ptr(http_exception("the request was answered already")), Inline());
  }
  WrittenAnswer written = WriteAnswer(response, terms);
  if (loop.InThread()) {
    Start(shared_from_this(), std::move(written), response.body());
    return Completion();
  }
  pplx::task<void> completion = Completion();
  // An answer that is whole needs its response no longer.
  const auto body = written.body_left ? response.body() : concurrency::streams::istream();
  loop.Post([self = shared_from_this(), answer = std::move(written), body]() mutable {
    Start(self, std::move(answer), body);
  });
  return completion;
}

RequestContext::~RequestContext() {
  exchange->Refuse({500, "internal-error", "The request was not answered",
                    "its handler ended without an answer; it may have been done or not"});
}

RequestContext* ContextOf(const web::http::http_request& request) {
  return dynamic_cast<RequestContext*>(request._get_server_context());
}

}  // namespace lanekeeper::gateway::transport
