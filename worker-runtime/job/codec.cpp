#include "worker-runtime/job/codec.h"

#include <algorithm>
#include <utility>

#include "worker-runtime/job/names.h"
#include "worker-runtime/job/rfc3339.h"

namespace lanekeeper {
namespace {

bool IsControl(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < ' ' || byte == 0x7f;
}

bool IsTypeCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("._-/:").find(c) != std::string_view::npos;
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

bool StartsWithIgnoringCase(std::string_view text, std::string_view lower_case_prefix) {
  if (text.size() < lower_case_prefix.size()) return false;
  for (std::size_t n = 0; n < lower_case_prefix.size(); ++n) {
    const char c = text[n];
    if ((c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c) != lower_case_prefix[n]) {
      return false;
    }
  }
  return true;
}

std::string OneLine(std::string_view text) {
  std::string line(text.substr(0, kDeadMessageBytesMax));
  std::replace_if(line.begin(), line.end(), IsControl, ' ');
  return line;
}

std::string PlainId(const JobMessage& message) {
  return message.stream + "." + std::to_string(message.sequence);
}

// What the server counts: "NATS/1.0\r\n", each "name: value\r\n", "\r\n", and the payload.
std::size_t HeaderBytes(const Headers& headers) {
  std::size_t bytes = 12;
  for (const auto& [name, value] : headers) bytes += name.size() + value.size() + 4;
  return bytes;
}

Headers DeadHeaders(const JobMessage& message, const DeadLetter& letter, const DeadOrigin& origin) {
  const std::string sequence = std::to_string(message.sequence);
  // An id that cannot be decoded still travels, but does not become part of another one.
  const std::string id = DecodeHead(message) ? JobIdOf(message) : PlainId(message);
  Headers headers;
  for (const auto& header : message.headers) {
    if (StartsWithIgnoringCase(header.first, "nats-")) continue;
    if (StartsWithIgnoringCase(header.first, "lk-dead-")) continue;
    headers.push_back(header);
  }
  const auto add = [&headers](std::string_view name, std::string value) {
    headers.emplace_back(std::string(name), std::move(value));
  };
  add(kHeaderJobId, id + ".dead." + sequence);
  add(kHeaderDeadReason, letter.reason);
  add(kHeaderDeadMessage, OneLine(letter.message));
  add(kHeaderDeadAttempts, std::to_string(message.delivery));
  add(kHeaderDeadTime, origin.time);
  add(kHeaderDeadWorker, origin.worker);
  add(kHeaderDeadStream, message.stream);
  add(kHeaderDeadSequence, sequence);
  add(kHeaderDeadJobId, JobIdOf(message));
  return headers;
}

}  // namespace

Result<JobHead> DecodeHead(const JobMessage& message) {
  JobHead head;
  head.id = JobIdOf(message);
  if (head.id.size() > kJobIdBytesMax) {
    return Fail(ErrorKind::kInvalid, std::string(kHeaderJobId) + " has " +
                                         std::to_string(head.id.size()) + " bytes, at most " +
                                         std::to_string(kJobIdBytesMax) + " are allowed");
  }
  if (std::any_of(head.id.begin(), head.id.end(), IsControl)) {
    return Fail(ErrorKind::kInvalid, std::string(kHeaderJobId) + " has a control character in it");
  }
  if (const auto type = FindHeader(message.headers, kHeaderType)) {
    if (type->size() > kJobTypeBytesMax ||
        !std::all_of(type->begin(), type->end(), IsTypeCharacter)) {
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
  const auto traceparent = FindHeader(message.headers, kHeaderTraceparent);
  if (traceparent && IsTraceparent(*traceparent)) head.traceparent = *traceparent;
  return head;
}

std::string JobIdOf(const JobMessage& message) {
  const auto id = FindHeader(message.headers, kHeaderJobId);
  return id && !id->empty() ? std::string(*id) : PlainId(message);
}

std::vector<DeadMessage> EncodeDeadLetter(const JobMessage& message, const DeadLetter& letter,
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
    if (header.first == kHeaderJobId) rest.emplace_back(header.first, header.second + ".2");
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
