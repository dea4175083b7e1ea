#include "worker-runtime/nats/jetstream.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "worker-runtime/nats/json_text.h"

namespace lanekeeper::nats {
namespace {

using nlohmann::json;

constexpr std::size_t kPagesMax = 10'000;  // An offset that does not move must not loop for ever.

ApiError NoAnswer(Error error) {
  const ApiCause cause =
      error.kind == ErrorKind::kForbidden ? ApiCause::kDenied : ApiCause::kNoAnswer;
  return {.error = std::move(error), .cause = cause};
}

tl::unexpected<ApiError> FailWith(ApiError error, std::string_view what) {
  error.error.message.insert(0, std::string(what) + ": ");
  return tl::unexpected(std::move(error));
}

// Stream and consumer names become subject tokens: one that is no name would ask something else.
std::optional<ApiError> CheckName(std::string_view name) {
  const bool good = !name.empty() && name.size() <= 255 && std::ranges::none_of(name, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte <= ' ' || byte == 0x7f || c == '.' || c == '*' || c == '>' || c == '/' || c == '\\';
  });
  if (good) return std::nullopt;
  return ApiError{.error = {ErrorKind::kInvalid, "\"" + std::string(name) + "\": not a name"},
                  .cause = ApiCause::kRefused};
}

std::string TextOf(const json& object, const char* field) {
  const auto found = object.find(field);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// The number of entries in all pages of a list; 0 when the answer does not say.
std::size_t TotalOf(const json& object) {
  const auto found = object.is_object() ? object.find("total") : object.end();
  if (found == object.end() || !found->is_number_unsigned()) return 0;
  return found->get<std::size_t>();
}

}  // namespace

ApiResult<Message> JetStream::Call(std::string_view api, std::string_view request_json) const {
  auto answer = connection_.Request("$JS.API." + std::string(api), request_json, {}, timeout_);
  if (!answer) return tl::unexpected(NoAnswer(std::move(answer).error()));
  if (auto good = CheckAnswer(*answer); !good) return tl::unexpected(std::move(good).error());
  return *std::move(answer);
}

ApiResult<PubAck> JetStream::PublishAck(std::string_view subject, std::string_view payload,
                                        const Headers& headers) const {
  return PublishAck(subject, payload, headers, timeout_);
}

ApiResult<PubAck> JetStream::PublishAck(std::string_view subject, std::string_view payload,
                                        const Headers& headers,
                                        std::chrono::milliseconds timeout) const {
  auto answer = connection_.Request(subject, payload, headers, timeout);
  if (!answer) return tl::unexpected(NoAnswer(std::move(answer).error()));
  auto ack = ParsePubAck(*answer);
  if (!ack) return FailWith(std::move(ack).error(), "publishing to " + std::string(subject));
  return ack;
}

ApiResult<StreamState> JetStream::StreamInfo(std::string_view stream,
                                             std::string_view subjects_filter) const {
  if (auto bad = CheckName(stream)) return tl::unexpected(*std::move(bad));
  const std::string what = "reading stream " + std::string(stream);
  StreamState whole;
  for (std::size_t page = 0; page < kPagesMax; ++page) {
    json request = json::object();
    if (!subjects_filter.empty()) {
      request = {{"subjects_filter", subjects_filter}, {"offset", whole.subjects.size()}};
    }
    auto answer = Call("STREAM.INFO." + std::string(stream), request.dump());
    if (!answer) return FailWith(std::move(answer).error(), what);
    auto state = ParseStreamState(*answer, /*with_config=*/true);
    if (!state) return FailWith(std::move(state).error(), what);
    const auto before = std::move(whole.subjects);
    const std::size_t added = state->subjects.size();
    whole = *std::move(state);
    whole.subjects.insert(whole.subjects.begin(), before.begin(), before.end());
    if (added == 0 || whole.subjects.size() >= TotalOf(ParseJson(answer->payload))) break;
  }
  return whole;
}

ApiResult<ConsumerState> JetStream::ConsumerInfo(std::string_view stream,
                                                 std::string_view consumer) const {
  if (auto bad = CheckName(stream)) return tl::unexpected(*std::move(bad));
  if (auto bad = CheckName(consumer)) return tl::unexpected(*std::move(bad));
  const std::string what = "reading consumer " + std::string(stream) + "/" + std::string(consumer);
  auto answer = Call("CONSUMER.INFO." + std::string(stream) + "." + std::string(consumer), "");
  if (!answer) return FailWith(std::move(answer).error(), what);
  auto state = ParseConsumerState(*answer, /*with_config=*/true);
  if (!state) return FailWith(std::move(state).error(), what);
  return state;
}

ApiResult<void> JetStream::CreateStream(std::string_view stream,
                                        std::string_view config_json) const {
  if (auto bad = CheckName(stream)) return tl::unexpected(*std::move(bad));
  auto answer = Call("STREAM.CREATE." + std::string(stream), config_json);
  if (!answer) return FailWith(std::move(answer).error(), "creating stream " + std::string(stream));
  return {};
}

ApiResult<void> JetStream::UpdateStream(std::string_view stream,
                                        std::string_view config_json) const {
  if (auto bad = CheckName(stream)) return tl::unexpected(*std::move(bad));
  auto answer = Call("STREAM.UPDATE." + std::string(stream), config_json);
  if (!answer) return FailWith(std::move(answer).error(), "changing stream " + std::string(stream));
  return {};
}

ApiResult<void> JetStream::DeleteStream(std::string_view stream) const {
  if (auto bad = CheckName(stream)) return tl::unexpected(*std::move(bad));
  auto answer = Call("STREAM.DELETE." + std::string(stream), "");
  if (!answer) return FailWith(std::move(answer).error(), "removing stream " + std::string(stream));
  return {};
}

ApiResult<void> JetStream::PutConsumer(std::string_view stream, std::string_view consumer,
                                       std::string_view config_json,
                                       std::string_view action) const {
  if (auto bad = CheckName(stream)) return tl::unexpected(*std::move(bad));
  if (auto bad = CheckName(consumer)) return tl::unexpected(*std::move(bad));
  const std::string what = "writing consumer " + std::string(stream) + "/" + std::string(consumer);
  json config = ParseJson(config_json);
  if (!config.is_object()) {
    return FailWith({.error = {ErrorKind::kInvalid, "configuration is not a JSON object"}}, what);
  }
  std::string subject = "CONSUMER.CREATE." + std::string(stream) + "." + std::string(consumer);
  // The server wants a single filter in the subject too, so that permissions can name it.
  const std::string filter = TextOf(config, "filter_subject");
  if (!filter.empty()) subject += "." + filter;
  const json request = {{"stream_name", stream}, {"config", std::move(config)}, {"action", action}};
  auto answer = Call(subject, request.dump(-1, ' ', false, json::error_handler_t::replace));
  if (!answer) return FailWith(std::move(answer).error(), what);
  return {};
}

ApiResult<void> JetStream::DeleteConsumer(std::string_view stream,
                                          std::string_view consumer) const {
  if (auto bad = CheckName(stream)) return tl::unexpected(*std::move(bad));
  if (auto bad = CheckName(consumer)) return tl::unexpected(*std::move(bad));
  auto answer = Call("CONSUMER.DELETE." + std::string(stream) + "." + std::string(consumer), "");
  if (!answer) {
    return FailWith(std::move(answer).error(),
                    "removing consumer " + std::string(stream) + "/" + std::string(consumer));
  }
  return {};
}

ApiResult<StoredMessage> JetStream::GetMessage(std::string_view stream,
                                               std::uint64_t sequence) const {
  if (auto bad = CheckName(stream)) return tl::unexpected(*std::move(bad));
  const std::string what =
      "reading message " + std::to_string(sequence) + " of " + std::string(stream);
  auto answer = Call("STREAM.MSG.GET." + std::string(stream), json{{"seq", sequence}}.dump());
  if (!answer) return FailWith(std::move(answer).error(), what);
  auto stored = ParseStoredMessage(*answer);
  if (!stored) return FailWith(std::move(stored).error(), what);
  return stored;
}

ApiResult<StoredMessage> JetStream::LastMessage(std::string_view stream,
                                                std::string_view subject) const {
  if (auto bad = CheckName(stream)) return tl::unexpected(*std::move(bad));
  const std::string what =
      "reading the last of " + std::string(subject) + " in " + std::string(stream);
  const json request = {{"last_by_subj", subject}};
  auto answer = Call("STREAM.MSG.GET." + std::string(stream), request.dump());
  if (!answer) return FailWith(std::move(answer).error(), what);
  auto stored = ParseStoredMessage(*answer);
  if (!stored) return FailWith(std::move(stored).error(), what);
  return stored;
}

ApiResult<StoredMessage> JetStream::NextMessage(std::string_view stream, std::uint64_t sequence,
                                                std::string_view subject) const {
  if (auto bad = CheckName(stream)) return tl::unexpected(*std::move(bad));
  const std::string what = "reading " + std::string(subject) + " of " + std::string(stream);
  const json request = {{"seq", sequence}, {"next_by_subj", subject}};
  auto answer = Call("DIRECT.GET." + std::string(stream), request.dump());
  if (!answer) return FailWith(std::move(answer).error(), what);
  auto stored = ParseStoredMessage(*answer);
  if (!stored) return FailWith(std::move(stored).error(), what);
  return stored;
}

ApiResult<void> JetStream::DeleteMessage(std::string_view stream, std::uint64_t sequence) const {
  if (auto bad = CheckName(stream)) return tl::unexpected(*std::move(bad));
  // no_erase: not overwriting the bytes on disk is much cheaper, and these are no secrets.
  const json request = {{"seq", sequence}, {"no_erase", true}};
  auto answer = Call("STREAM.MSG.DELETE." + std::string(stream), request.dump());
  if (!answer) {
    return FailWith(std::move(answer).error(),
                    "removing message " + std::to_string(sequence) + " of " + std::string(stream));
  }
  return {};
}

namespace {

// Reads all pages of a list of names.
ApiResult<std::vector<std::string>> ReadNames(const JetStream& jetstream, const std::string& api,
                                              json request, const char* field) {
  std::vector<std::string> names;
  for (std::size_t page = 0; page < kPagesMax; ++page) {
    request["offset"] = names.size();
    auto answer = jetstream.Call(api, request.dump());
    if (!answer) return FailWith(std::move(answer).error(), "listing " + std::string(field));
    const json object = ParseJson(answer->payload);
    const auto list = object.find(field);
    std::size_t added = 0;
    if (list != object.end() && list->is_array()) {
      for (const json& name : *list) {
        if (!name.is_string()) {
          return tl::unexpected(ApiError{.error = {ErrorKind::kRetryable, "unreadable answer"},
                                         .cause = ApiCause::kUnreadable});
        }
        names.push_back(name.get<std::string>());
        ++added;
      }
    }
    if (added == 0 || names.size() >= TotalOf(object)) break;
  }
  return names;
}

}  // namespace

ApiResult<std::vector<std::string>> JetStream::StreamNames(std::string_view subject) const {
  json request = json::object();
  if (!subject.empty()) request["subject"] = subject;
  return ReadNames(*this, "STREAM.NAMES", std::move(request), "streams");
}

ApiResult<std::vector<std::string>> JetStream::ConsumerNames(std::string_view stream) const {
  if (auto bad = CheckName(stream)) return tl::unexpected(*std::move(bad));
  return ReadNames(*this, "CONSUMER.NAMES." + std::string(stream), json::object(), "consumers");
}

}  // namespace lanekeeper::nats
