#include "worker-runtime/nats/handles.h"

#include <charconv>

// What libnats' collector does with a message. The library exports it, no header of it declares it,
// hence weak: without it programs start all the same.
extern "C" [[gnu::weak]] void natsMsg_free(void* message);

namespace lanekeeper::nats {
namespace {

// libnats keeps the status line of a headers-only message under these two names.
constexpr std::string_view kStatusHeader = "Status";
constexpr std::string_view kDescriptionHeader = "Description";

std::string TextOf(const char* text) { return text == nullptr ? std::string() : std::string(text); }

void ReadHeaders(natsMsg* message, Message* out) {
  const char** names_raw = nullptr;
  int names_count = 0;
  if (natsMsgHeader_Keys(message, &names_raw, &names_count) != NATS_OK) return;  // No headers.
  const std::unique_ptr<const char*, decltype(&free)> names(names_raw, &free);
  for (int i = 0; i < names_count; ++i) {
    const char** values_raw = nullptr;
    int values_count = 0;
    if (natsMsgHeader_Values(message, names_raw[i], &values_raw, &values_count) != NATS_OK) {
      continue;
    }
    const std::unique_ptr<const char*, decltype(&free)> values(values_raw, &free);
    for (int k = 0; k < values_count; ++k) {
      out->headers.emplace_back(TextOf(names_raw[i]), TextOf(values_raw[k]));
    }
  }
}

void ReadStatus(Message* out) {
  if (!out->payload.empty()) return;
  const auto status = out->Header(kStatusHeader);
  if (!status || status->size() != 3) return;
  int code = 0;
  const auto [end, error] = std::from_chars(status->data(), status->data() + 3, code);
  if (error != std::errc() || end != status->data() + 3) return;
  out->status = code;
  out->status_text = out->Header(kDescriptionHeader).value_or("");
}

bool IsWritable(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos;
}

}  // namespace

bool FreesMessagesItself() { return natsMsg_free != nullptr; }

void FreeMessage(natsMsg* message) {
  if (message == nullptr) return;
  if (FreesMessagesItself()) {
    natsMsg_free(message);
  } else {
    natsMsg_Destroy(message);
  }
}

Message ToMessage(natsMsg* message) {
  Message out;
  out.subject = TextOf(natsMsg_GetSubject(message));
  out.reply = TextOf(natsMsg_GetReply(message));
  const int length = natsMsg_GetDataLength(message);
  if (length > 0) out.payload.assign(natsMsg_GetData(message), static_cast<std::size_t>(length));
  ReadHeaders(message, &out);
  ReadStatus(&out);
  return out;
}

Result<MessageHandle> ToNatsMessage(std::string_view subject, std::string_view reply,
                                    std::string_view payload, const Headers& headers) {
  MessageHandle message;
  const std::string subject_text(subject);
  const std::string reply_text(reply);
  const natsStatus created = natsMsg_Create(OutParam(message), subject_text.c_str(),
                                            reply_text.empty() ? nullptr : reply_text.c_str(),
                                            payload.data(), static_cast<int>(payload.size()));
  if (created != NATS_OK) return tl::unexpected(ToError(created, "making a message"));
  for (const auto& [name, value] : headers) {
    if (name.empty() || name.find(':') != std::string::npos || !IsWritable(name) ||
        !IsWritable(value)) {
      return Fail(ErrorKind::kInvalid, "header \"" + name + "\": not a header name and value");
    }
    const natsStatus added = natsMsgHeader_Add(message.get(), name.c_str(), value.c_str());
    if (added != NATS_OK) return tl::unexpected(ToError(added, "header " + name));
  }
  return message;
}

Error ToError(natsStatus status, std::string_view what) {
  std::string message = std::string(what) + ": " + natsStatus_GetText(status);
  switch (status) {
    case NATS_INVALID_ARG:
    case NATS_INVALID_SUBJECT:
    case NATS_ADDRESS_MISSING:
    case NATS_MAX_PAYLOAD:
      return {ErrorKind::kInvalid, std::move(message)};
    case NATS_NOT_FOUND:
      return {ErrorKind::kNotFound, std::move(message)};
    case NATS_NOT_PERMITTED:
    case NATS_CONNECTION_AUTH_FAILED:
      return {ErrorKind::kForbidden, std::move(message)};
    default:
      return {ErrorKind::kRetryable, std::move(message)};
  }
}

}  // namespace lanekeeper::nats
