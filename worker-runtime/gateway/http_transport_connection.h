// One connection: reads requests one after the other, hands each on, writes its answer. The loop's
// thread only.
//
// While it waits it holds no buffer: it is told by the loop that there is something to read, and
// reads it into the loop's scratch memory.
#pragma once

#include <boost/asio/posix/stream_descriptor.hpp>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "worker-runtime/gateway/http_transport_channel.h"
#include "worker-runtime/gateway/http_transport_deadlines.h"
#include "worker-runtime/gateway/http_transport_exchange.h"
#include "worker-runtime/gateway/http_transport_parser.h"

namespace lanekeeper::gateway::transport {

struct Endpoint;

class Connection final : public Deadline, public std::enable_shared_from_this<Connection> {
 public:
  // Owns `descriptor` from now on.
  Connection(Loop& loop, std::shared_ptr<Endpoint> endpoint, int descriptor, SslHandle ssl,
             std::string remote_address);
  void Start();

  // The answer of the exchange in hand; `more`: WritePiece and FinishStream follow.
  void Answer(AnswerBytes answer, bool more);
  // The same, and what the client sends meanwhile is thrown away.
  void AnswerStream(AnswerBytes answer);
  void WritePiece(std::string bytes);
  void FinishStream(std::string_view tail);

  // At once. Tells who is answering.
  void Close();
  // A listener closes: its streams end in good order; if the endpoint closes with it, so does a
  // connection that answers nothing.
  void Retire(const Route& route);
  bool Answers(const std::shared_ptr<Route>& route) const {
    return current_ && current_->route == route;
  }

 private:
  enum class State { kHandshake, kReading, kAnswering, kStreaming, kLingering, kClosed };

  void OnDeadline(Wait what) override;

  void Process();
  bool Step();
  bool ContinueHandshake();
  bool ReadMore();
  void TakeBytes(std::string_view bytes);
  void TakeEnd();
  void WaitReadable();
  void WaitWritable();

  void Feed(std::string_view fresh);
  // False: the parser needs more, or nothing is to be parsed any more.
  bool Parse(std::string_view& bytes);
  void EnterBody(bool body_begun);
  void Dispatch();
  void Refuse(Refusal refusal);  // By value: it ends the parser, whose it may be.

  void Send(std::string bytes);
  void Flush();
  void AfterFlush();
  void EndAnswer();
  void Linger();
  void Await();  // Arms the deadline of the state.

  Loop& loop_;
  const std::shared_ptr<Endpoint> endpoint_;
  boost::asio::posix::stream_descriptor socket_;
  Channel channel_;
  const std::string remote_address_;

  std::optional<RequestParser> parser_;
  std::string input_;  // Came in and is not parsed yet.
  std::string output_;
  std::size_t output_sent_ = 0;
  std::size_t body_counted_ = 0;
  std::size_t thrown_away_ = 0;
  ExchangePtr current_;

  State state_ = State::kHandshake;
  bool processing_ = false;
  bool waits_readable_ = false;
  bool waits_writable_ = false;
  bool drained_ = false;        // The socket had no more when it was read last.
  bool input_partial_ = false;  // The parser has seen input_ and needs more.
  bool yielded_ = false;        // Goes on when others have had their turn.
  bool in_body_ = false;
  bool last_piece_ = false;  // The answer is whole once output_ is sent.
  bool close_after_ = false;
  bool linger_after_ = false;
  bool half_closed_ = false;  // The client sends nothing more.
};

}  // namespace lanekeeper::gateway::transport
