#include "worker-runtime/gateway/http_transport_connection.h"

#include <utility>

#include "worker-runtime/gateway/http_transport_loop.h"
#include "worker-runtime/gateway/http_transport_stream.h"

namespace lanekeeper::gateway::transport {
namespace {

// Of requests that were sent before the one in hand is answered; then the client has to wait.
constexpr std::size_t kInputMax = 64 * 1024;
constexpr std::size_t kThrownAwayMax = 1024 * 1024;
constexpr int kRequestsPerTurn = 16;
constexpr std::size_t kKeptOutputMax = 4096;

}  // namespace

Connection::Connection(Loop& loop, std::shared_ptr<Endpoint> endpoint, int descriptor,
                       SslHandle ssl, std::string remote_address)
    : loop_(loop),
      endpoint_(std::move(endpoint)),
      socket_(loop.io(), descriptor),
      channel_(descriptor, std::move(ssl)),
      remote_address_(std::move(remote_address)) {}

void Connection::Start() {
  loop_.Arm(*this, channel_.secure() ? Wait::kHeader : Wait::kIdle);
  if (!channel_.secure()) state_ = State::kReading;
  Process();
}

void Connection::Process() {
  if (std::exchange(processing_, true)) return;
  const auto self = shared_from_this();
  while (Step()) {
  }
  processing_ = false;
}

bool Connection::Step() {
  switch (state_) {
    case State::kClosed:
      return false;
    case State::kHandshake:
      return ContinueHandshake();
    case State::kReading:
      // Who does not take answers is not asked for more requests.
      if (!output_.empty() || yielded_) return false;
      if (!input_.empty() && !input_partial_) {
        Feed({});
        return true;
      }
      return ReadMore();
    default:
      return ReadMore();
  }
}

bool Connection::ContinueHandshake() {
  switch (channel_.Handshake()) {
    case Io::kDone:
      state_ = State::kReading;
      loop_.Arm(*this, Wait::kIdle);
      return true;
    case Io::kWantRead:
      WaitReadable();
      return false;
    case Io::kWantWrite:
      WaitWritable();
      return false;
    default:
      Close();
      return false;
  }
}

bool Connection::ReadMore() {
  if (waits_readable_) return false;
  if (half_closed_) {
    if (state_ == State::kReading) Close();
    return false;
  }
  if (state_ == State::kAnswering && input_.size() >= kInputMax) return false;
  if (drained_ && !channel_.Holds()) {
    WaitReadable();
    return false;
  }
  std::size_t count = 0;
  switch (channel_.Read(loop_.scratch(), Loop::kScratchBytes, count)) {
    case Io::kDone:
      drained_ = count < Loop::kScratchBytes;
      TakeBytes({loop_.scratch(), count});
      return true;
    case Io::kWantRead:
      WaitReadable();
      return false;
    case Io::kWantWrite:
      WaitWritable();
      return false;
    case Io::kEnd:
      TakeEnd();
      return false;
    case Io::kFailed:
      Close();
      return false;
  }
  return false;
}

void Connection::TakeBytes(std::string_view bytes) {
  switch (state_) {
    case State::kReading:
      return Feed(bytes);
    case State::kAnswering:
      input_ += bytes;
      input_partial_ = false;
      return;
    default:
      thrown_away_ += bytes.size();
      if (thrown_away_ > kThrownAwayMax) Close();
  }
}

void Connection::TakeEnd() {
  if (state_ != State::kAnswering) return Close();
  half_closed_ = true;
  const ExchangePtr exchange = current_;
  exchange->TellGone();
}

void Connection::WaitReadable() {
  if (std::exchange(waits_readable_, true)) return;
  socket_.async_wait(boost::asio::posix::descriptor_base::wait_read,
                     [self = shared_from_this()](const boost::system::error_code&) {
                       self->waits_readable_ = false;
                       self->drained_ = false;
                       if (!self->output_.empty() && !self->waits_writable_) self->Flush();
                       self->Process();
                     });
}

void Connection::WaitWritable() {
  if (std::exchange(waits_writable_, true)) return;
  socket_.async_wait(boost::asio::posix::descriptor_base::wait_write,
                     [self = shared_from_this()](const boost::system::error_code&) {
                       self->waits_writable_ = false;
                       self->drained_ = false;
                       if (!self->output_.empty()) self->Flush();
                       self->Process();
                     });
}

void Connection::Feed(std::string_view fresh) {
  std::string joined = std::exchange(input_, {});
  if (!joined.empty()) joined += fresh;
  std::string_view bytes = joined.empty() ? fresh : std::string_view(joined);
  input_partial_ = false;
  int requests = 0;
  while (!bytes.empty() && state_ == State::kReading && output_.empty()) {
    if (!Parse(bytes)) {
      input_partial_ = state_ == State::kReading;
      break;
    }
    if (++requests < kRequestsPerTurn) continue;
    // Others have their turn.
    yielded_ = true;
    loop_.Post([self = shared_from_this()] {
      self->yielded_ = false;
      self->Process();
    });
    break;
  }
  if (bytes.empty() || state_ == State::kClosed || state_ == State::kLingering) return;
  if (joined.empty()) {
    input_ = bytes;
  } else {
    joined.erase(0, joined.size() - bytes.size());
    input_ = std::move(joined);
  }
}

bool Connection::Parse(std::string_view& bytes) {
  if (!parser_) {
    parser_.emplace(loop_.limits());
    loop_.Arm(*this, Wait::kHeader);
  }
  bytes.remove_prefix(parser_->Put(bytes));
  if (parser_->refusal()) {
    Refuse(*parser_->refusal());
    return false;
  }
  const std::size_t counted = std::exchange(body_counted_, parser_->body_bytes());
  loop_.bodies_bytes += body_counted_ - counted;
  if (loop_.bodies_bytes > loop_.limits().all_bodies_bytes_max) {
    Refuse({429, "too-many-requests", "Too many requests",
            "the bodies of all requests in hand are too large together; send it again later"});
    return false;
  }
  if (parser_->Done()) {
    Dispatch();
    return true;
  }
  if (parser_->HeaderDone()) EnterBody(!bytes.empty() || body_counted_ > 0);
  return false;
}

void Connection::EnterBody(bool body_begun) {
  if (std::exchange(in_body_, true)) return;
  loop_.Arm(*this, Wait::kBody);
  const RequestHead& head = parser_->head();
  if (head.expects_continue && head.http11 && !body_begun) Send(std::string(kContinue));
}

void Connection::Dispatch() {
  RequestHead head = std::move(parser_->head());
  std::string body = std::move(parser_->body());
  parser_.reset();
  in_body_ = false;
  state_ = State::kAnswering;
  loop_.Arm(*this, Wait::kNothing);
  current_ = std::make_shared<Exchange>(
      loop_, AnswerTerms{.head = head.method == "HEAD",
                         .http11 = head.http11,
                         .keep_alive = head.keep_alive && !endpoint_->closing});
  current_->connection = shared_from_this();
  current_->body_bytes = std::exchange(body_counted_, 0);
  const ExchangePtr exchange = current_;
  HandOver(exchange, *endpoint_, remote_address_, std::move(head), std::move(body));
}

void Connection::Refuse(Refusal refusal) {
  loop_.Count(refusal.status);
  parser_.reset();
  loop_.bodies_bytes -= std::exchange(body_counted_, 0);
  input_.clear();
  state_ = State::kLingering;
  linger_after_ = true;
  Send(WriteRefusal(refusal, AnswerTerms{}).bytes);
}

void Connection::OnDeadline(Wait what) {
  if (state_ == State::kClosed) return;
  const auto self = shared_from_this();
  const bool speaks = state_ == State::kReading && output_.empty();
  if ((what == Wait::kHeader || what == Wait::kBody) && speaks) {
    Refuse(TooSlow(what == Wait::kHeader ? "header" : "body"));
    return Process();
  }
  if (what != Wait::kIdle && what != Wait::kLinger) loop_.Count(408);
  Close();
}

void Connection::Answer(AnswerBytes answer, bool more) {
  close_after_ = answer.close;
  last_piece_ = !more;
  Send(std::move(answer.bytes));
}

void Connection::AnswerStream(AnswerBytes answer) {
  state_ = State::kStreaming;
  thrown_away_ = input_.size();
  input_ = {};
  Answer(std::move(answer), true);
  Process();
}

void Connection::WritePiece(std::string bytes) {
  if (!last_piece_) Send(std::move(bytes));
}

void Connection::FinishStream(std::string_view tail) {
  if (std::exchange(last_piece_, true)) return;
  Send(std::string(tail));
}

void Connection::Send(std::string bytes) {
  if (output_.empty()) {
    output_ = std::move(bytes);
    output_sent_ = 0;
  } else {
    output_ += bytes;
  }
  Flush();
}

void Connection::Flush() {
  const auto self = shared_from_this();
  while (output_sent_ < output_.size() && state_ != State::kClosed) {
    std::size_t count = 0;
    const Io outcome = channel_.Write(std::string_view(output_).substr(output_sent_), count);
    if (outcome == Io::kDone) {
      output_sent_ += count;
      if (waits_for() == Wait::kWrite) loop_.Arm(*this, Wait::kWrite);
      continue;
    }
    if (outcome != Io::kWantWrite && outcome != Io::kWantRead) return Close();
    if (waits_for() != Wait::kWrite) loop_.Arm(*this, Wait::kWrite);
    if (current_ && current_->stream) current_->stream->SetUnsent(output_.size() - output_sent_);
    if (outcome == Io::kWantWrite) return WaitWritable();
    return WaitReadable();
  }
  if (state_ == State::kClosed) return;
  output_.clear();
  output_sent_ = 0;
  if (output_.capacity() > kKeptOutputMax || state_ == State::kStreaming) output_ = {};
  if (waits_for() == Wait::kWrite) Await();
  AfterFlush();
}

void Connection::AfterFlush() {
  if (linger_after_) return Linger();
  if (!current_) return;
  if (last_piece_) return EndAnswer();
  if (current_->stream) current_->stream->SetUnsent(0);
  const auto next = std::exchange(current_->on_written, nullptr);
  if (next) next();
}

void Connection::EndAnswer() {
  last_piece_ = false;
  const bool was_stream = state_ == State::kStreaming;
  // What came meanwhile was thrown away, so that nobody knows where the next request begins.
  if (was_stream && thrown_away_ > 0) close_after_ = true;
  state_ = State::kReading;
  const ExchangePtr exchange = std::exchange(current_, nullptr);
  exchange->End(true);
  if (state_ != State::kReading) return;
  if (endpoint_->closing) return Close();
  if (close_after_ || (half_closed_ && input_.empty())) {
    if (half_closed_ || (input_.empty() && !was_stream)) return Close();
    return Linger();
  }
  loop_.Arm(*this, Wait::kIdle);
  Process();
}

void Connection::Linger() {
  linger_after_ = false;
  state_ = State::kLingering;
  input_ = {};
  thrown_away_ = 0;
  channel_.EndSending();
  loop_.Arm(*this, Wait::kLinger);
  Process();
}

void Connection::Await() {
  Wait what = Wait::kNothing;
  if (state_ == State::kReading) {
    what = !parser_ ? Wait::kIdle : in_body_ ? Wait::kBody : Wait::kHeader;
  }
  loop_.Arm(*this, what);
}

void Connection::Close() {
  if (std::exchange(state_, State::kClosed) == State::kClosed) return;
  const auto self = shared_from_this();
  loop_.Arm(*this, Wait::kNothing);
  boost::system::error_code ignored;
  socket_.close(ignored);
  loop_.bodies_bytes -= std::exchange(body_counted_, 0);
  const ExchangePtr exchange = std::exchange(current_, nullptr);
  if (exchange) {
    if (exchange->stream) exchange->stream->Close();
    exchange->TellGone();
    exchange->End(false);
  }
  loop_.Remove(*endpoint_, *this);
}

void Connection::Retire(const Route& route) {
  if (!current_) {
    if (endpoint_->closing) Close();
    return;
  }
  if (current_->route.get() != &route || state_ != State::kStreaming || last_piece_) return;
  const auto self = shared_from_this();
  const ExchangePtr exchange = current_;
  exchange->stream->Close();
  exchange->TellGone();
  if (current_) FinishStream(exchange->terms.http11 ? kLastChunk : std::string_view());
}

}  // namespace lanekeeper::gateway::transport
