// A message of a lane, from any NATS client: its headers as lines, an empty line, its payload.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "worker-runtime/gateway/fuzz/must.h"
#include "worker-runtime/job/codec.h"
#include "worker-runtime/job/names.h"

namespace lanekeeper {
namespace {

void CheckDeadLetter(const JobMessage& message) {
  const DeadLetter letter{.reason = std::string(kDeadRejected), .message = message.payload};
  const auto parts =
      EncodeDeadLetter(message, letter, {.worker = "w", .time = "2026-11-26T00:00:00Z"}, 4096);
  for (const OutMessage& part : parts) {
    std::size_t bytes = part.payload.size();
    for (const auto& [name, value] : part.headers) bytes += name.size() + value.size();
    FUZZ_MUST(bytes <= 4096);
  }
}

}  // namespace
}  // namespace lanekeeper

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lanekeeper;  // NOLINT: one function.
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  JobMessage message{.stream = "LK_studio_media_short", .sequence = 17};
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    begin = end + 1;
    if (line.empty()) break;
    const std::size_t colon = std::min(line.find(':'), line.size());
    message.headers.emplace_back(line.substr(0, colon),
                                 line.substr(std::min(colon + 1, line.size())));
  }
  message.payload = text.substr(std::min(begin, text.size()));
  const auto head = DecodeHead(message);
  if (head) {
    FUZZ_MUST(!head->id.empty() && head->id.size() <= kJobIdBytesMax);
    FUZZ_MUST(head->id == JobIdOf(message));
    FUZZ_MUST(head->type.size() <= kJobTypeBytesMax);
    // The record's key is one token of a subject.
    FUZZ_MUST(JobIdToken(head->id).find_first_of(" .*>\t\r\n") == std::string::npos);
  } else {
    FUZZ_MUST(!head.error().message.empty());
  }
  CheckDeadLetter(message);
  return 0;
}
