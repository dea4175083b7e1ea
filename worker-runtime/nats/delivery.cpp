// ParseDelivery and the settlements: everything that reads or answers an ack subject.
#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <string>
#include <thread>
#include <utility>

#include "worker-runtime/nats/pull_consumer.h"

namespace lanekeeper::nats {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::size_t kTokensMax = 16;
constexpr std::size_t kReasonMax = 512;
// One attempt of a confirmed settlement: short enough that a dropped ack is sent again soon.
constexpr milliseconds kConfirmTry{1000};
constexpr milliseconds kNobodyPause{100};

// Splits at dots; the number of tokens, or kTokensMax + 1 when there are more.
std::size_t Split(std::string_view subject, std::array<std::string_view, kTokensMax>* tokens) {
  std::size_t count = 0;
  while (true) {
    if (count == kTokensMax) return kTokensMax + 1;
    const std::size_t dot = subject.find('.');
    (*tokens)[count++] = subject.substr(0, dot);
    if (dot == std::string_view::npos) return count;
    subject.remove_prefix(dot + 1);
  }
}

bool ReadNumber(std::string_view text, std::uint64_t* out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), *out);
  return !text.empty() && error == std::errc() && end == text.data() + text.size();
}

Result<void> Confirmed(Connection& connection, const Delivery& delivery, std::string_view body,
                       milliseconds timeout) {
  const auto deadline = steady_clock::now() + timeout;
  while (true) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now());
    auto answer = connection.Request(delivery.message.reply, body, {},
                                     std::clamp(left, milliseconds(1), kConfirmTry));
    if (answer && !answer->NoResponders()) return {};
    // Around a change of leader that is as it is for a consumer that is gone.
    const bool nobody = answer.has_value();
    Error error = nobody ? Error{ErrorKind::kRetryable,
                                 "nobody takes the ack: the consumer is gone or has no leader"}
                         : std::move(answer).error();
    if (error.kind != ErrorKind::kRetryable) return tl::unexpected(std::move(error));
    const auto rest = deadline - steady_clock::now();
    if (rest <= milliseconds(0)) return tl::unexpected(std::move(error));
    // While disconnected a request fails at once.
    if (!connection.Connected()) {
      connection.WaitConnected(std::chrono::ceil<milliseconds>(rest));
    } else if (nobody) {
      std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(kNobodyPause, rest));
    }
  }
}

std::string TermBody(std::string_view reason) {
  std::string body = "+TERM";
  if (reason.empty()) return body;
  body += ' ';
  for (const char c : reason.substr(0, kReasonMax)) {
    body += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
  }
  return body;
}

}  // namespace

Result<Delivery> ParseDelivery(Message message) {
  // v1: $JS.ACK.<stream>.<consumer>.<delivered>.<sseq>.<cseq>.<time>.<pending>
  // v2: $JS.ACK.<domain>.<account>.<stream>.<consumer>.<delivered>.<sseq>.<cseq>.<time>.<pending>…
  std::array<std::string_view, kTokensMax> tokens;
  const std::size_t count = Split(message.reply, &tokens);
  const bool v1 = count == 9;
  const bool v2 = count >= 11 && count <= kTokensMax;
  if ((!v1 && !v2) || tokens[0] != "$JS" || tokens[1] != "ACK") {
    return Fail(ErrorKind::kInvalid, "not a delivery: reply \"" + message.reply + "\"");
  }
  const std::size_t at = v1 ? 2 : 4;
  Delivery delivery;
  std::uint64_t nanoseconds = 0;
  const bool read = !tokens[at].empty() && !tokens[at + 1].empty() &&
                    ReadNumber(tokens[at + 2], &delivery.delivered) &&
                    ReadNumber(tokens[at + 3], &delivery.stream_sequence) &&
                    ReadNumber(tokens[at + 4], &delivery.consumer_sequence) &&
                    ReadNumber(tokens[at + 5], &nanoseconds) &&
                    ReadNumber(tokens[at + 6], &delivery.pending);
  if (!read || delivery.delivered == 0 ||
      nanoseconds > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    return Fail(ErrorKind::kInvalid, "not a delivery: reply \"" + message.reply + "\"");
  }
  delivery.stream = tokens[at];
  delivery.consumer = tokens[at + 1];
  delivery.stored_at = WallTime(std::chrono::duration_cast<WallTime::duration>(
      std::chrono::nanoseconds(static_cast<std::int64_t>(nanoseconds))));
  delivery.message = std::move(message);
  return delivery;
}

Result<void> Ack(Connection& connection, const Delivery& delivery) {
  return connection.Publish(delivery.message.reply, "+ACK");
}

Result<void> AckConfirmed(Connection& connection, const Delivery& delivery, milliseconds timeout) {
  return Confirmed(connection, delivery, "+ACK", timeout);
}

Result<void> Nak(Connection& connection, const Delivery& delivery, milliseconds delay) {
  if (delay <= milliseconds(0)) return connection.Publish(delivery.message.reply, "-NAK");
  const auto nanoseconds = std::chrono::nanoseconds(delay).count();
  return connection.Publish(delivery.message.reply,
                            "-NAK {\"delay\": " + std::to_string(nanoseconds) + "}");
}

Result<void> InProgress(Connection& connection, const Delivery& delivery) {
  return connection.Publish(delivery.message.reply, "+WPI");
}

Result<void> Term(Connection& connection, const Delivery& delivery, std::string_view reason) {
  return connection.Publish(delivery.message.reply, TermBody(reason));
}

Result<void> TermConfirmed(Connection& connection, const Delivery& delivery,
                           std::string_view reason, milliseconds timeout) {
  return Confirmed(connection, delivery, TermBody(reason), timeout);
}

}  // namespace lanekeeper::nats
