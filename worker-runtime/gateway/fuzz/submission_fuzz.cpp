// What a client hands in: JSON bodies, job headers, idempotency keys. The first byte chooses.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "worker-runtime/gateway/fuzz/must.h"
#include "worker-runtime/gateway/submission.h"
#include "worker-runtime/job/codec.h"

namespace lanekeeper::gateway {
namespace {

// What was accepted can be published, and a worker reads it as it was meant.
void CheckAccepted(const Submission& submission) {
  FUZZ_MUST(Fingerprint(submission).size() == 64);
  const OutMessage message =
      EncodeSubmission(submission, "anonymous", "k3x9qa2b0123456789abcdefgh");
  std::size_t job_headers = 0;
  for (const auto& [name, value] : message.headers) {
    // One that has a line end would be two.
    FUZZ_MUST(name.find_first_of("\r\n:") == std::string::npos);
    FUZZ_MUST(value.find_first_of("\r\n") == std::string::npos);
    job_headers += name == "Lk-Job-Id" ? 1 : 0;
  }
  FUZZ_MUST(job_headers == 1);
  const auto head = DecodeHead({.stream = "LK_studio_media_short",
                                .sequence = 17,
                                .delivery = 1,
                                .stored_at = {},
                                .payload = message.payload,
                                .headers = message.headers});
  FUZZ_MUST(head.has_value());
  FUZZ_MUST(head->id == JobIdFor("LK_studio_media_short", 17, "k3x9qa2b0123456789abcdefgh"));
  FUZZ_MUST(head->type == submission.type);
  FUZZ_MUST(head->timeout == submission.timeout);
  FUZZ_MUST(head->deadline.has_value() == submission.deadline.has_value());
}

void ReadHeaders(std::string_view text) {
  Headers headers;
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view line = text.substr(begin, end - begin);
    begin = end + 1;
    if (line.empty()) break;  // The rest is the body.
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    headers.emplace_back(line.substr(0, colon), line.substr(colon + 1));
  }
  const auto submission =
      SubmissionFromHeaders(headers, std::string(text.substr(std::min(begin, text.size()))));
  if (submission) CheckAccepted(*submission);
}

}  // namespace
}  // namespace lanekeeper::gateway

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lanekeeper::gateway;  // NOLINT: one function.
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (data[0] == 'k') {
    const auto key = ParseIdempotencyKey(text);
    FUZZ_MUST(!key || (!key->empty() && key->size() <= kIdempotencyKeyBytesMax));
  } else if (data[0] == 'h') {
    ReadHeaders(text);
  } else {
    const auto submission = ParseSubmission(text);
    if (submission) CheckAccepted(*submission);
    FUZZ_MUST(submission || !submission.error().detail.empty());
  }
  return 0;
}
