#include "worker-runtime/nats/pull_status.h"

#include <algorithm>
#include <charconv>

namespace lanekeeper::nats {
namespace {

// The first number in `text`; nothing when there is none.
std::optional<int> FirstNumber(std::string_view text) {
  const std::size_t at = text.find_first_of("0123456789");
  if (at == std::string_view::npos) return std::nullopt;
  int number = 0;
  const auto [end, error] = std::from_chars(text.data() + at, text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  return number;
}

bool Says(const Message& message, std::string_view text) {
  return message.status_text.find(text) != std::string::npos;
}

}  // namespace

PullStatus ReadPullStatus(const Message& message) {
  using Effect = PullStatus::Effect;
  PullStatus read;
  switch (message.status) {
    case 100:
      return read;
    case 404:  // No Messages: for requests that do not wait.
    case 408:  // Request Timeout, Interest Expired, Requests Pending.
      read.effect = Effect::kPartOver;
      if (const auto left = message.Header("Nats-Pending-Messages")) {
        read.unfilled = FirstNumber(*left);
      }
      return read;
    case 503:
      read.effect = Effect::kGone;
      read.error = {ErrorKind::kRetryable, "no responders"};
      return read;
    case 409:
      break;
    default:
      read.effect = Effect::kImpossible;
      read.error = {ErrorKind::kInvalid,
                    std::to_string(message.status) + " " + message.status_text};
      return read;
  }
  if (Says(message, "Consumer Deleted")) {
    read.effect = Effect::kGone;
    read.error = {ErrorKind::kNotFound, "consumer deleted"};
  } else if (Says(message, "push based")) {
    read.effect = Effect::kImpossible;
    read.error = {ErrorKind::kInvalid, "not a pull consumer"};
  } else if (Says(message, "MaxRequestBatch")) {
    read.effect = Effect::kBatchTooLarge;
    read.batch_max = std::max(1, FirstNumber(message.status_text).value_or(1));
  } else if (Says(message, "MaxRequestExpires")) {
    read.effect = Effect::kExpiresTooLong;
  } else if (Says(message, "Batch Completed") || Says(message, "Exceeds MaxBytes")) {
    read.effect = Effect::kPartOver;
    if (const auto left = message.Header("Nats-Pending-Messages")) {
      read.unfilled = FirstNumber(*left);
    }
  } else if (Says(message, "Exceeded MaxWaiting")) {
    read.effect = Effect::kGone;
    read.error = {ErrorKind::kRetryable, "consumer has too many open pulls"};
  } else {  // Leadership Change, Server Shutdown and what later versions add.
    read.effect = Effect::kAllOver;
  }
  return read;
}

}  // namespace lanekeeper::nats
