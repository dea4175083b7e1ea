#include "worker-runtime/gateway/submission.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdint>
#include <stdexcept>
#include <utility>

#include "worker-runtime/base/duration.h"
#include "worker-runtime/base/text.h"
#include "worker-runtime/gateway/sha256.h"
#include "worker-runtime/gateway/submission_fields.h"
#include "worker-runtime/job/names.h"
#include "worker-runtime/job/rfc3339.h"

namespace lanekeeper::gateway {
namespace {

constexpr std::size_t kShownBytesMax = 64;
constexpr std::size_t kMessageIdBytes = 26;
constexpr std::size_t kTailBytes = 8;
// HTTP headers that are handed on to the handler, without this in front of their names.
constexpr std::string_view kUserHeaderPrefix = "Lk-Header-";

bool IsControl(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < ' ' || byte == 0x7f;
}

bool HasControl(std::string_view text) { return std::any_of(text.begin(), text.end(), IsControl); }

bool IsAlphanumeric(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// A token of RFC 9110.
bool IsHeaderName(std::string_view name) {
  constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
  return !name.empty() && std::all_of(name.begin(), name.end(), [&](char c) {
    return IsAlphanumeric(c) || kMarks.find(c) != std::string_view::npos;
  });
}

// Nats-* are orders to the server, Lk-* to the worker; the other two are how NATS clients keep the
// status line of a message.
bool IsReserved(std::string_view name) {
  return StartsWithIgnoringCase(name, "nats-") || StartsWithIgnoringCase(name, "lk-") ||
         SameIgnoringCase(name, kHeaderTraceparent) || SameIgnoringCase(name, "status") ||
         SameIgnoringCase(name, "description");
}

std::string_view Trimmed(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

// Whatever it was: one line of at most `bytes_max`.
std::string AsHeaderValue(std::string_view text, std::size_t bytes_max) {
  std::string value(text.substr(0, bytes_max));
  std::replace_if(value.begin(), value.end(), IsControl, ' ');
  return value;
}

Answer<void> CheckKey(std::string_view key, std::string_view what) {
  const bool printable =
      std::all_of(key.begin(), key.end(), [](char c) { return c >= ' ' && c <= '~'; });
  if (key.empty() || key.size() > kIdempotencyKeyBytesMax || !printable) {
    return Invalid(std::string(what) + " is not 1 to " + std::to_string(kIdempotencyKeyBytesMax) +
                   " printable ASCII characters");
  }
  return {};
}

void FillRandom(unsigned char* bytes, std::size_t count) {
  while (count > 0) {
    const ssize_t got = getrandom(bytes, count, 0);
    if (got < 0 && errno == EINTR) continue;
    // Never on Linux, for so few bytes; ids that are not random would make two jobs one.
    if (got <= 0) throw std::runtime_error("the system has no random numbers");
    bytes += got;
    count -= static_cast<std::size_t>(got);
  }
}

}  // namespace

tl::unexpected<Problem> Invalid(std::string detail) {
  return Refuse(ProblemType::kInvalidRequest, std::move(detail));
}

std::string Shown(std::string_view text) {
  std::string shown = AsHeaderValue(text, kShownBytesMax);
  // A cut may have gone through a character.
  return IsUtf8Text(shown) ? shown : "(not text)";
}

std::optional<std::string> DecodeBase64Strictly(std::string_view text) {
  for (int padding = 0; padding < 2 && text.ends_with('='); ++padding) text.remove_suffix(1);
  if (text.size() % 4 == 1 || text.find('=') != std::string_view::npos) return std::nullopt;
  return DecodeBase64(text);
}

Answer<void> SetSubmissionField(Submission& submission, std::string_view field, std::string value) {
  if (field == "type") {
    if (!IsJobType(value)) {
      return Invalid("type \"" + Shown(value) + "\" is not a word of at most " +
                     std::to_string(kJobTypeBytesMax) + " letters, digits and \"._-/:\"");
    }
    submission.type = std::move(value);
  } else if (field == "lane") {
    if (!value.empty() && !CheckLaneKey({"ns", "pool", value})) {
      return Invalid("lane \"" + Shown(value) +
                     "\" is not a name of 1 to 63 lower-case letters, digits and '-'");
    }
    submission.lane = std::move(value);
  } else if (field == "deadline") {
    submission.deadline = ParseRfc3339(value);
    if (!submission.deadline) {
      return Invalid("deadline \"" + Shown(value) + "\" is not a time like 2026-11-24T22:28:40Z");
    }
  } else if (field == "timeout") {
    const auto timeout = ParseDuration(value);
    if (!timeout || timeout->count() == 0) {
      return Invalid("timeout \"" + Shown(value) + "\" is not a duration like 90s, 5m or 1h30m");
    }
    submission.timeout = *timeout;
  } else {
    assert(field == "idempotency_key");
    if (auto good = CheckKey(value, field); !good) return good;
    submission.idempotency_key = std::move(value);
  }
  return {};
}

Answer<void> AddUserHeader(Headers& headers, std::string name, std::string value) {
  if (!IsHeaderName(name)) {
    return Invalid("headers: \"" + Shown(name) +
                   "\" is not a header name: letters, digits and '-', for example");
  }
  if (IsReserved(name)) {
    return Invalid("headers: \"" + Shown(name) +
                   "\" is reserved, as all Nats-*, Lk-*, traceparent, Status and Description; "
                   "name it differently");
  }
  value = Trimmed(value);
  if (HasControl(value) || !IsUtf8Text(value)) {
    return Invalid("headers: the value of \"" + Shown(name) +
                   "\" has control characters or is not UTF-8; put bytes into the payload");
  }
  if (headers.size() >= kUserHeadersMax) {
    return Invalid("headers: more than " + std::to_string(kUserHeadersMax));
  }
  std::size_t bytes = name.size() + value.size();
  for (const auto& header : headers) {
    if (SameIgnoringCase(header.first, name)) {
      return Invalid("headers: \"" + Shown(name) + "\" is given twice");
    }
    bytes += header.first.size() + header.second.size();
  }
  if (bytes > kUserHeaderBytesMax) {
    return Invalid("headers: more than " + std::to_string(kUserHeaderBytesMax) +
                   " bytes, names and values together; put large values into the payload");
  }
  headers.emplace_back(std::move(name), std::move(value));
  return {};
}

Answer<Submission> SubmissionFromHeaders(const Headers& http_headers, std::string body) {
  Submission submission;
  submission.payload = std::move(body);
  std::string seen;
  for (const auto& [name, value] : http_headers) {
    Answer<void> set;
    if (SameIgnoringCase(name, kHeaderTraceparent)) {
      if (IsTraceparent(value)) submission.traceparent = value;
      continue;
    }
    if (SameIgnoringCase(name, "Idempotency-Key")) {
      auto key = ParseIdempotencyKey(value);
      if (!key) return tl::unexpected(std::move(key).error());
      submission.idempotency_key = *std::move(key);
      continue;
    }
    if (!StartsWithIgnoringCase(name, "lk-")) continue;
    if (StartsWithIgnoringCase(name, kUserHeaderPrefix)) {
      set = AddUserHeader(submission.headers, name.substr(kUserHeaderPrefix.size()), value);
    } else if (SameIgnoringCase(name, kHeaderType)) {
      set = SetSubmissionField(submission, "type", std::string(Trimmed(value)));
    } else if (SameIgnoringCase(name, kHeaderLane)) {
      set = SetSubmissionField(submission, "lane", std::string(Trimmed(value)));
    } else if (SameIgnoringCase(name, kHeaderDeadline)) {
      set = SetSubmissionField(submission, "deadline", std::string(Trimmed(value)));
    } else if (SameIgnoringCase(name, kHeaderTimeout)) {
      set = SetSubmissionField(submission, "timeout", std::string(Trimmed(value)));
    } else {
      set = Invalid("header \"" + Shown(name) +
                    "\" does not exist; there are Lk-Type, Lk-Lane, Lk-Deadline, Lk-Timeout and "
                    "Lk-Header-<name>");
    }
    if (!set) return tl::unexpected(std::move(set).error());
  }
  return submission;
}

Answer<std::string> ParseIdempotencyKey(std::string_view header) {
  header = Trimmed(header);
  std::string key;
  if (header.starts_with('"')) {
    // RFC 8941: '"' and '\' have a '\' before them, and nothing else has.
    std::size_t at = 1;
    for (; at < header.size() && header[at] != '"'; ++at) {
      if (header[at] == '\\' &&
          (++at == header.size() || (header[at] != '"' && header[at] != '\\')))
        break;
      key += header[at];
    }
    if (at + 1 != header.size()) {
      return Invalid(R"(Idempotency-Key is not a quoted string like "8e03978e-40d5-43dd")");
    }
  } else {
    key = header;
  }
  if (auto good = CheckKey(key, "Idempotency-Key"); !good) {
    return tl::unexpected(std::move(good).error());
  }
  return key;
}

std::string Fingerprint(const Submission& submission) {
  // Each with its length before it, so that different fields are different texts.
  std::string text;
  const auto add = [&text](std::string_view field) {
    text += std::to_string(field.size());
    text += ':';
    text += field;
  };
  add(submission.lane);
  add(submission.type);
  add(submission.deadline ? std::to_string(std::chrono::duration_cast<std::chrono::nanoseconds>(
                                               submission.deadline->time_since_epoch())
                                               .count())
                          : "");
  add(submission.timeout ? std::to_string(submission.timeout->count()) : "");
  // Their order means nothing in an object.
  Headers headers = submission.headers;
  std::sort(headers.begin(), headers.end());
  for (const auto& [name, value] : headers) {
    add(name);
    add(value);
  }
  add(std::to_string(headers.size()));
  add(submission.payload);
  return Sha256Hex(text);
}

OutMessage EncodeSubmission(const Submission& submission, const Caller& caller,
                            std::string_view message_id) {
  assert(message_id.size() >= kTailBytes);
  OutMessage message;
  // Everything was checked where it came in. Here once more: whatever got past that is still one
  // header, and none of the server's.
  const auto add = [&message](std::string_view name, std::string_view value) {
    message.headers.emplace_back(std::string(name), AsHeaderValue(value, kUserHeaderBytesMax));
  };
  add(kHeaderMessageId, message_id);
  add(kHeaderJobId, "*." + std::string(message_id.substr(0, kTailBytes)));
  if (!submission.type.empty()) add(kHeaderType, submission.type);
  if (submission.deadline) add(kHeaderDeadline, FormatRfc3339Nanos(*submission.deadline));
  if (submission.timeout) add(kHeaderTimeout, FormatDuration(*submission.timeout));
  if (!caller.empty()) add(kHeaderCaller, AsHeaderValue(caller, kCallerBytesMax));
  if (!submission.traceparent.empty()) add(kHeaderTraceparent, submission.traceparent);
  for (const auto& [name, value] : submission.headers) {
    if (IsHeaderName(name) && !IsReserved(name)) add(name, value);
  }
  message.payload = submission.payload;
  return message;
}

std::string JobIdFor(std::string_view stream, std::uint64_t sequence, std::string_view message_id) {
  std::string id(stream);
  id += '.';
  id += std::to_string(sequence);
  id += '.';
  id += message_id.substr(0, kTailBytes);
  return id;
}

std::string NewMessageId() {
  // 32 characters, five bits each: none that is mistaken for another.
  constexpr std::string_view kLetters = "0123456789abcdefghjkmnpqrstvwxyz";
  std::array<unsigned char, kMessageIdBytes> random{};
  FillRandom(random.data(), random.size());
  std::string id;
  id.reserve(kMessageIdBytes);
  for (const unsigned char byte : random) id += kLetters[byte & 31];
  return id;
}

}  // namespace lanekeeper::gateway
