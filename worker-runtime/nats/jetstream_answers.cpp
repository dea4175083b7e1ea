#include "worker-runtime/nats/jetstream_answers.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <ctime>
#include <nlohmann/json.hpp>
#include <utility>

#include "worker-runtime/base/text.h"
#include "worker-runtime/nats/json_text.h"

namespace lanekeeper::nats {
namespace {

using nlohmann::json;

ApiError Unreadable(std::string_view what) {
  return {.error = {ErrorKind::kRetryable, "unreadable answer: " + std::string(what)},
          .cause = ApiCause::kUnreadable};
}

// JetStream's numbers: server/errors.json.
ApiError FromCodes(int code, int err_code, std::string description) {
  ApiError made;
  made.code = code;
  made.err_code = err_code;
  ErrorKind kind = ErrorKind::kRetryable;
  switch (err_code) {
    case 10059:
      kind = ErrorKind::kNotFound, made.cause = ApiCause::kStreamMissing;
      break;
    case 10014:
      kind = ErrorKind::kNotFound, made.cause = ApiCause::kConsumerMissing;
      break;
    case 10037:
      kind = ErrorKind::kNotFound, made.cause = ApiCause::kMessageMissing;
      break;
    case 10077:
      made.cause = ApiCause::kQueueFull;
      break;
    case 10071:
      kind = ErrorKind::kInvalid, made.cause = ApiCause::kWrongRevision;
      break;
    case 10002:  // Resource limits of the account, insufficient resources, memory, storage: all
                 // pass
    case 10023:  // when something is removed or added.
    case 10028:
    case 10047:
      made.cause = ApiCause::kNoRoom;
      break;
    case 10167:
      made.cause = ApiCause::kBusy;
      break;
    case 10039:  // Not enabled for account.
    case 10076:  // Not enabled.
      made.cause = ApiCause::kJetStreamOff;
      break;
    default:
      if (code == 404) kind = ErrorKind::kNotFound;
      if (code == 400) kind = ErrorKind::kInvalid;
      // 10052, 10100 and others that say "this configuration cannot be" come with code 500 or 400.
      if (err_code == 10052 || err_code == 10100 || err_code == 10058 || err_code == 10065 ||
          err_code == 10012 || err_code == 10074 || err_code == 10148) {
        kind = ErrorKind::kInvalid;
      }
      if (code == 401 || code == 403) kind = ErrorKind::kForbidden, made.cause = ApiCause::kDenied;
      if (code == 429) made.cause = ApiCause::kBusy;
  }
  made.error = {kind, std::move(description)};
  return made;
}

std::int64_t IntegerOr(const json& object, const char* field, std::int64_t fallback) {
  const auto found = object.find(field);
  if (found == object.end() || !found->is_number_integer()) return fallback;
  return found->get<std::int64_t>();
}

std::string TextOr(const json& object, const char* field, std::string fallback) {
  const auto found = object.find(field);
  if (found == object.end() || !found->is_string()) return fallback;
  return found->get<std::string>();
}

// A count the API promises: nothing when it is missing, no whole number or negative.
std::optional<std::int64_t> Count(const json& object, const char* field) {
  const auto found = object.find(field);
  if (found == object.end() || !found->is_number_integer()) return std::nullopt;
  if (found->is_number_unsigned() && found->get<std::uint64_t>() > (std::uint64_t{1} << 62)) {
    return std::nullopt;
  }
  const auto value = found->get<std::int64_t>();
  if (value < 0) return std::nullopt;
  return value;
}

std::uint64_t SequenceOr0(const json& object, const char* part, const char* field) {
  const auto found = object.find(part);
  if (found == object.end() || !found->is_object()) return 0;
  const auto number = found->find(field);
  if (number == found->end() || !number->is_number_unsigned()) return 0;
  return number->get<std::uint64_t>();
}

// "NATS/1.0\r\nName: value\r\n…\r\n\r\n"
Headers ParseHeaderBlock(std::string_view block) {
  Headers headers;
  std::size_t at = block.find("\r\n");
  while (at != std::string_view::npos) {
    const std::size_t begin = at + 2;
    at = block.find("\r\n", begin);
    if (at == std::string_view::npos || at == begin) break;
    const std::string_view line = block.substr(begin, at - begin);
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    std::string_view value = line.substr(colon + 1);
    while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
    headers.emplace_back(line.substr(0, colon), value);
  }
  return headers;
}

}  // namespace

std::optional<ApiError> ErrorOfAnswer(const Message& answer) {
  // A stored message may carry any header, also one that looks like a status.
  if (answer.Header("Nats-Sequence")) return std::nullopt;
  if (answer.NoResponders()) {
    return ApiError{.error = {ErrorKind::kRetryable, "no responders: JetStream is off"},
                    .cause = ApiCause::kJetStreamOff,
                    .code = 503};
  }
  if (answer.status == 404) {  // Direct get.
    return ApiError{.error = {ErrorKind::kNotFound, "no such message"},
                    .cause = ApiCause::kMessageMissing,
                    .code = 404};
  }
  if (answer.status >= 400) {
    return FromCodes(answer.status, 0, answer.status_text);
  }
  return std::nullopt;
}

namespace {

// The answer as a JSON object, or its error.
ApiResult<json> ReadAnswer(const Message& answer) {
  if (auto error = ErrorOfAnswer(answer)) return tl::unexpected(*std::move(error));
  json object = ParseJson(answer.payload);
  if (!object.is_object()) return tl::unexpected(Unreadable("not a JSON object"));
  const auto error = object.find("error");
  if (error != object.end()) {
    if (!error->is_object()) return tl::unexpected(Unreadable("error"));
    return tl::unexpected(FromCodes(static_cast<int>(IntegerOr(*error, "code", 0)),
                                    static_cast<int>(IntegerOr(*error, "err_code", 0)),
                                    TextOr(*error, "description", "no description")));
  }
  return object;
}

}  // namespace

ApiResult<void> CheckAnswer(const Message& answer) {
  if (answer.Header("Nats-Sequence")) return {};
  if (auto object = ReadAnswer(answer); !object) return tl::unexpected(std::move(object).error());
  return {};
}

ApiResult<ConsumerState> ParseConsumerState(const Message& answer, bool with_config) {
  auto object = ReadAnswer(answer);
  if (!object) return tl::unexpected(std::move(object).error());
  ConsumerState state;
  for (const auto& [field, target] : {std::pair{"num_pending", &state.pending},
                                      {"num_ack_pending", &state.ack_pending},
                                      {"num_waiting", &state.waiting_pulls},
                                      {"num_redelivered", &state.redelivered}}) {
    const auto count = Count(*object, field);
    if (!count) return tl::unexpected(Unreadable(field));
    *target = *count;
  }
  state.delivered_stream_sequence = SequenceOr0(*object, "delivered", "stream_seq");
  state.delivered_consumer_sequence = SequenceOr0(*object, "delivered", "consumer_seq");
  state.ack_floor_stream_sequence = SequenceOr0(*object, "ack_floor", "stream_seq");
  state.ack_floor_consumer_sequence = SequenceOr0(*object, "ack_floor", "consumer_seq");
  const auto config = object->find("config");
  if (config == object->end() || !config->is_object()) return tl::unexpected(Unreadable("config"));
  state.ack_pending_max = std::max<std::int64_t>(0, IntegerOr(*config, "max_ack_pending", 0));
  state.filter_subject = TextOr(*config, "filter_subject", "");
  const auto paused = object->find("paused");
  state.paused = paused != object->end() && paused->is_boolean() && paused->get<bool>();
  if (with_config) state.config_json = config->dump(-1, ' ', false, json::error_handler_t::replace);
  return state;
}

ApiResult<StreamState> ParseStreamState(const Message& answer, bool with_config) {
  auto object = ReadAnswer(answer);
  if (!object) return tl::unexpected(std::move(object).error());
  const auto inner = object->find("state");
  if (inner == object->end() || !inner->is_object()) return tl::unexpected(Unreadable("state"));
  StreamState state;
  const auto messages = Count(*inner, "messages");
  const auto bytes = Count(*inner, "bytes");
  if (!messages || !bytes) return tl::unexpected(Unreadable("state"));
  state.messages = *messages;
  state.bytes = *bytes;
  state.first_sequence = SequenceOr0(*object, "state", "first_seq");
  state.last_sequence = SequenceOr0(*object, "state", "last_seq");
  if (const auto subjects = inner->find("subjects"); subjects != inner->end()) {
    if (!subjects->is_object()) return tl::unexpected(Unreadable("subjects"));
    for (const auto& [subject, ignored] : subjects->items()) {
      const auto count = Count(*subjects, subject.c_str());
      if (!count) return tl::unexpected(Unreadable("subjects"));
      state.subjects.emplace_back(subject, *count);
    }
  }
  const auto config = object->find("config");
  if (config == object->end() || !config->is_object()) return tl::unexpected(Unreadable("config"));
  if (with_config) state.config_json = config->dump(-1, ' ', false, json::error_handler_t::replace);
  return state;
}

namespace {

// `{"stream":"S", "seq":12}`, what a server answers nearly always: not worth a JSON reader, at two
// of these a job.
std::optional<PubAck> ReadPlainPubAck(std::string_view text) {
  const auto take = [&text](std::string_view expected) {
    if (!text.starts_with(expected)) return false;
    text.remove_prefix(expected.size());
    return true;
  };
  PubAck ack;
  if (!take(R"({"stream":")")) return std::nullopt;
  const std::size_t quote = text.find_first_of("\"\\");
  if (quote == std::string_view::npos || quote == 0) return std::nullopt;
  ack.stream = text.substr(0, quote);
  text.remove_prefix(quote);
  if (!take(R"(", "seq":)") && !take(R"(","seq":)")) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), ack.sequence);
  if (error != std::errc()) return std::nullopt;
  if (std::string_view(end, static_cast<std::size_t>(text.data() + text.size() - end)) != "}") {
    return std::nullopt;
  }
  return ack;
}

}  // namespace

ApiResult<PubAck> ParsePubAck(const Message& answer) {
  if (answer.NoResponders()) {
    return tl::unexpected(ApiError{
        .error = {ErrorKind::kNotFound, "no stream takes this subject, or JetStream is off"},
        .cause = ApiCause::kStreamMissing,
        .code = 503});
  }
  if (auto plain = ReadPlainPubAck(answer.payload)) return *std::move(plain);
  auto object = ReadAnswer(answer);
  if (!object) return tl::unexpected(std::move(object).error());
  PubAck ack;
  ack.stream = TextOr(*object, "stream", "");
  const auto sequence = Count(*object, "seq");
  if (ack.stream.empty() || !sequence) return tl::unexpected(Unreadable("publish ack"));
  ack.sequence = static_cast<std::uint64_t>(*sequence);
  const auto duplicate = object->find("duplicate");
  ack.duplicate = duplicate != object->end() && duplicate->is_boolean() && duplicate->get<bool>();
  return ack;
}

std::optional<WallTime> ParseServerTime(std::string_view text) {
  // 2026-11-24T22:28:40.123456789Z or with an offset of "+02:00".
  std::tm parts{};
  const std::string copy(text);
  const char* rest = strptime(copy.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  if (rest == nullptr) return std::nullopt;
  std::int64_t nanoseconds = 0;
  if (*rest == '.') {
    ++rest;
    std::int64_t unit = 100'000'000;
    if (!std::isdigit(static_cast<unsigned char>(*rest))) return std::nullopt;
    for (; std::isdigit(static_cast<unsigned char>(*rest)); ++rest, unit /= 10) {
      nanoseconds += unit * (*rest - '0');
    }
  }
  std::int64_t offset_seconds = 0;
  if (*rest == '+' || *rest == '-') {
    int hours = 0;
    int minutes = 0;
    int length = 0;
    if (std::sscanf(rest + 1, "%2d:%2d%n", &hours, &minutes, &length) != 2 || length != 5) {
      return std::nullopt;
    }
    offset_seconds = (hours * 3600 + minutes * 60) * (*rest == '+' ? 1 : -1);
    rest += 6;
  } else if (*rest == 'Z') {
    ++rest;
  } else {
    return std::nullopt;
  }
  if (*rest != '\0') return std::nullopt;
  const std::time_t seconds = timegm(&parts);
  return WallTime(std::chrono::duration_cast<WallTime::duration>(
      std::chrono::seconds(seconds - offset_seconds) + std::chrono::nanoseconds(nanoseconds)));
}

ApiResult<StoredMessage> ParseStoredMessage(const Message& answer) {
  StoredMessage stored;
  if (answer.Header("Nats-Sequence")) {  // Direct get: the message itself, described in headers.
    const std::string sequence(*answer.Header("Nats-Sequence"));
    stored.sequence = std::strtoull(sequence.c_str(), nullptr, 10);
    stored.subject = answer.Header("Nats-Subject").value_or("");
    const auto time = ParseServerTime(answer.Header("Nats-Time-Stamp").value_or(""));
    if (stored.sequence == 0 || !time) return tl::unexpected(Unreadable("direct get"));
    stored.stored_at = *time;
    stored.payload = answer.payload;
    for (const auto& header : answer.headers) {
      static constexpr std::string_view kAdded[] = {"Nats-Sequence",    "Nats-Subject",
                                                    "Nats-Stream",      "Nats-Time-Stamp",
                                                    "Nats-Num-Pending", "Nats-Last-Sequence"};
      if (std::ranges::find(kAdded, header.first) == std::end(kAdded)) {
        stored.headers.push_back(header);
      }
    }
    return stored;
  }
  auto object = ReadAnswer(answer);
  if (!object) return tl::unexpected(std::move(object).error());
  const auto inner = object->find("message");
  if (inner == object->end() || !inner->is_object()) return tl::unexpected(Unreadable("message"));
  stored.subject = TextOr(*inner, "subject", "");
  const auto sequence = Count(*inner, "seq");
  const auto time = ParseServerTime(TextOr(*inner, "time", ""));
  const auto payload = DecodeBase64(TextOr(*inner, "data", ""));
  const auto block = DecodeBase64(TextOr(*inner, "hdrs", ""));
  if (!sequence || !time || !payload || !block) return tl::unexpected(Unreadable("message"));
  stored.sequence = static_cast<std::uint64_t>(*sequence);
  stored.stored_at = *time;
  stored.payload = *payload;
  stored.headers = ParseHeaderBlock(*block);
  return stored;
}

}  // namespace lanekeeper::nats
