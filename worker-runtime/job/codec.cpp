#include "worker-runtime/job/codec.h"

#include <algorithm>
#include <utility>

#include "worker-runtime/base/duration.h"
#include "worker-runtime/base/text.h"
#include "worker-runtime/job/message_size.h"
#include "worker-runtime/job/names.h"
#include "worker-runtime/job/rfc3339.h"

namespace lanekeeper {
namespace {

constexpr std::size_t kMovedFromBytesMax = 128;  // A lane's name, a dot and a sequence.

bool IsControl(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < ' ' || byte == 0x7f;
}

bool IsTypeCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("._-/:").find(c) != std::string_view::npos;
}

std::string OneLine(std::string_view text) {
  std::string line(text.substr(0, kDeadMessageBytesMax));
  std::replace_if(line.begin(), line.end(), IsControl, ' ');
  return line;
}

// A JSON array of strings, printable ASCII only, at most kDeadMessageBytesMax bytes: a header
// value. The last lines are the ones that matter, so the first ones go when there is no room.
std::string OutputAsJson(const std::vector<std::string>& lines) {
  std::string text;
  for (auto line = lines.rbegin(); line != lines.rend(); ++line) {
    std::string quoted = "\"";
    for (const char c : *line) {
      if (c == '"' || c == '\\') quoted += '\\';
      quoted += IsControl(c) || static_cast<unsigned char>(c) > 0x7e ? '?' : c;
    }
    quoted += '"';
    if (text.size() + quoted.size() + 3 > kDeadMessageBytesMax) break;
    text.insert(0, text.empty() ? quoted : quoted + ",");
  }
  return "[" + text + "]";
}

std::string PlainId(const JobMessage& message) {
  return message.stream + "." + std::to_string(message.sequence);
}

// Which message, and no other: streams share nothing, and one that is made anew counts from 1
// again, but at another time.
std::string PlaceOf(const JobMessage& message) {
  const std::chrono::nanoseconds stored = message.stored_at.time_since_epoch();
  return PlainId(message) + "." + std::to_string(stored.count());
}

// At least one; empty ones but the first are left out.
std::vector<std::string> LinesOf(std::string_view text) {
  std::vector<std::string> lines;
  while (true) {
    const std::size_t end = text.find('\n');
    if (lines.empty() || !text.substr(0, end).empty()) lines.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return lines;
    text.remove_prefix(end + 1);
  }
}

// Which header the id came from, for an error.
std::string IdHeader(const JobMessage& message) {
  const auto own = FindHeader(message.headers, kHeaderJobId);
  return std::string(own && !own->empty() ? kHeaderJobId : kHeaderMessageId);
}

Headers DeadHeaders(const JobMessage& message, const DeadLetter& letter, const DeadOrigin& origin) {
  const std::string sequence = std::to_string(message.sequence);
  Headers headers;
  for (const auto& header : message.headers) {
    if (StartsWithIgnoringCase(header.first, "nats-")) continue;
    if (StartsWithIgnoringCase(header.first, "lk-dead-")) continue;
    headers.push_back(header);
    // A '*' in it would stand for another place, wherever the letter is published again.
    if (SameIgnoringCase(header.first, kHeaderJobId)) headers.back().second = JobIdOf(message);
  }
  const auto add = [&headers](std::string_view name, std::string value) {
    headers.emplace_back(std::string(name), std::move(value));
  };
  add(kHeaderMessageId, PlaceOf(message) + ".dead");
  add(kHeaderDeadReason, letter.reason);
  // The first line says what it is; people group by it.
  std::vector<std::string> lines = LinesOf(letter.message);
  add(kHeaderDeadMessage, OneLine(lines.front()));
  if (!letter.error_class.empty()) add(kHeaderDeadErrorClass, OneLine(letter.error_class));
  lines.erase(lines.begin());
  const auto& output = letter.output.empty() ? lines : letter.output;
  if (!output.empty()) add(kHeaderDeadOutput, OutputAsJson(output));
  add(kHeaderDeadAttempts, std::to_string(letter.attempts));
  add(kHeaderDeadCrashes, std::to_string(letter.crashes));
  if (letter.first_started_at != WallTime{}) {
    add(kHeaderDeadFirstTime, FormatRfc3339(letter.first_started_at));
  }
  add(kHeaderDeadTime, origin.time);
  add(kHeaderDeadWorker, origin.worker);
  add(kHeaderDeadStream, message.stream);
  add(kHeaderDeadSequence, sequence);
  add(kHeaderDeadJobId, JobIdOf(message));
  return headers;
}

}  // namespace

bool IsJobType(std::string_view text) {
  return text.size() <= kJobTypeBytesMax && std::all_of(text.begin(), text.end(), IsTypeCharacter);
}

// version "00", 32 hex digits, 16 hex digits, 2 hex digits; a later version may go on after a '-'.
bool IsTraceparent(std::string_view text) {
  constexpr std::string_view shape = "xx-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx-xx";
  if (text.size() < shape.size() || text.size() > 512) return false;
  for (std::size_t n = 0; n < shape.size(); ++n) {
    const char c = text[n];
    const bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
    if (shape[n] == '-' ? c != '-' : !hex) return false;
  }
  if (std::any_of(text.begin(), text.end(), IsControl)) return false;
  return text.size() == shape.size() || text[shape.size()] == '-';
}

Result<JobHead> DecodeHead(const JobMessage& message) {
  JobHead head;
  head.id = JobIdOf(message);
  if (head.id.size() > kJobIdBytesMax) {
    return Fail(ErrorKind::kInvalid, IdHeader(message) + " has " + std::to_string(head.id.size()) +
                                         " bytes, at most " + std::to_string(kJobIdBytesMax) +
                                         " are allowed");
  }
  if (std::any_of(head.id.begin(), head.id.end(), IsControl)) {
    return Fail(ErrorKind::kInvalid, IdHeader(message) + " has a control character in it");
  }
  if (const auto type = FindHeader(message.headers, kHeaderType)) {
    if (!IsJobType(*type)) {
      return Fail(ErrorKind::kInvalid,
                  std::string(kHeaderType) + " \"" + OneLine(type->substr(0, 64)) +
                      "\" is not a word of at most " + std::to_string(kJobTypeBytesMax) +
                      " letters, digits and \"._-/:\"");
    }
    head.type = *type;
  }
  if (const auto text = FindHeader(message.headers, kHeaderDeadline)) {
    head.deadline = ParseRfc3339(*text);
    if (!head.deadline) {
      return Fail(ErrorKind::kInvalid, std::string(kHeaderDeadline) + " \"" +
                                           OneLine(text->substr(0, 64)) +
                                           "\" is not a time like 2026-11-24T22:28:40Z");
    }
  }
  if (const auto text = FindHeader(message.headers, kHeaderTimeout)) {
    const auto timeout = ParseDuration(*text);
    if (!timeout || timeout->count() == 0) {
      return Fail(ErrorKind::kInvalid, std::string(kHeaderTimeout) + " \"" +
                                           OneLine(text->substr(0, 64)) +
                                           "\" is not a duration like 90s");
    }
    head.timeout = *timeout;
  }
  // Ours alone: from anybody else it is no use, and no harm.
  if (const auto origin = FindHeader(message.headers, kHeaderMovedFrom)) {
    head.moved_from = OneLine(origin->substr(0, kMovedFromBytesMax));
  }
  const auto traceparent = FindHeader(message.headers, kHeaderTraceparent);
  if (traceparent && IsTraceparent(*traceparent)) head.traceparent = *traceparent;
  return head;
}

std::string JobIdOf(const JobMessage& message) {
  if (const auto id = FindHeader(message.headers, kHeaderJobId); id && !id->empty()) {
    // Only the queue knows the place of a message, and only once it has it.
    if (id->front() == '*') return PlainId(message) + std::string(id->substr(1));
    return std::string(*id);
  }
  if (const auto id = FindHeader(message.headers, kHeaderMessageId); id && !id->empty()) {
    return std::string(*id);
  }
  return PlainId(message);
}

OutMessage EncodeMove(const JobMessage& message, std::string_view lane) {
  OutMessage moved;
  for (const auto& header : message.headers) {
    if (StartsWithIgnoringCase(header.first, "nats-")) continue;
    if (SameIgnoringCase(header.first, kHeaderJobId)) continue;
    if (SameIgnoringCase(header.first, kHeaderMovedFrom)) continue;
    moved.headers.push_back(header);
  }
  moved.headers.emplace_back(kHeaderMessageId, PlaceOf(message) + ".moved");
  moved.headers.emplace_back(kHeaderJobId, JobIdOf(message));
  moved.headers.emplace_back(kHeaderMovedFrom,
                             std::string(lane) + "." + std::to_string(message.sequence));
  moved.payload = message.payload;
  return moved;
}

std::vector<OutMessage> EncodeDeadLetter(const JobMessage& message, const DeadLetter& letter,
                                         const DeadOrigin& origin, std::size_t bytes_max) {
  const Headers whole = DeadHeaders(message, letter, origin);
  if (HeaderBytes(whole) + message.payload.size() <= bytes_max) return {{whole, message.payload}};

  constexpr std::size_t kPartHeaderBytes = 64;  // "Lk-Dead-Part: 2/2", and ".2" behind the id.
  // Two parts are enough: the job fitted into one message before our few headers came to it.
  const std::size_t headers_bytes = HeaderBytes(whole) + kPartHeaderBytes;
  if (headers_bytes >= bytes_max) return {};
  const std::size_t first_bytes = std::min(bytes_max - headers_bytes, message.payload.size());

  Headers rest;
  for (const auto& header : whole) {
    if (StartsWithIgnoringCase(header.first, "lk-dead-")) rest.push_back(header);
    if (header.first == kHeaderMessageId) rest.emplace_back(header.first, header.second + ".2");
  }
  if (HeaderBytes(rest) + kPartHeaderBytes + message.payload.size() - first_bytes > bytes_max) {
    return {};
  }
  Headers first = whole;
  first.emplace_back(kHeaderDeadPart, "1/2");
  rest.emplace_back(kHeaderDeadPart, "2/2");
  return {{std::move(first), message.payload.substr(0, first_bytes)},
          {std::move(rest), message.payload.substr(first_bytes)}};
}

}  // namespace lanekeeper
