// The bytes of a connection, in pieces whose sizes the input chooses.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "worker-runtime/base/percent_encode.h"
#include "worker-runtime/gateway/fuzz/must.h"
#include "worker-runtime/gateway/http_target.h"
#include "worker-runtime/gateway/http_transport_parser.h"

namespace lanekeeper::gateway {
namespace {

void ReadHead(const transport::RequestHead& head) {
  const std::size_t question = std::min(head.target.find('?'), head.target.size());
  const std::string_view target = head.target;
  const auto parsed =
      ParseTarget(target.substr(0, question), target.substr(std::min(question + 1, target.size())));
  if (parsed) {
    for (const std::string& segment : parsed->segments) {
      const auto again = ParseTarget("/" + PercentEncode(segment), "");
      FUZZ_MUST(again && again->segments.size() == 1 && again->segments[0] == segment);
    }
  }
  for (const auto& [name, value] : head.headers) {
    FUZZ_MUST(value.find_first_of("\r\n") == std::string::npos);
    FUZZ_MUST(Excerpt(value).size() <= 200);
    const auto wait = ParsePreferWait(value);
    FUZZ_MUST(!wait || !*wait || **wait <= kPreferWaitMax);
    (void)Accepts(value, "application/json");
    (void)MediaTypeOf(value);
    (void)BearerToken(value);
    (void)NamesETag(value, "\"17\"");
    FUZZ_MUST(!IsRequestId(value) || value.size() <= 128);
  }
}

}  // namespace
}  // namespace lanekeeper::gateway

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lanekeeper::gateway;  // NOLINT: one function.
  if (size == 0) return 0;
  const TransportLimits limits{.header_bytes_max = 1024, .body_bytes_max = 2048};
  const std::size_t step = data[0] % 64 + 1U;
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);

  std::size_t taken = 0;
  while (taken < bytes.size()) {
    transport::RequestParser parser(limits);
    std::size_t given = taken;
    bool head_seen = false;
    while (!parser.Done() && !parser.refusal() && given < bytes.size()) {
      given = std::min(given + step, bytes.size());
      const std::size_t took = parser.Put(bytes.substr(taken, given - taken));
      FUZZ_MUST(took <= given - taken);
      taken += took;
      if (parser.HeaderDone() && !head_seen) {
        head_seen = true;
        ReadHead(parser.head());
      }
      FUZZ_MUST(parser.body().size() <= limits.body_bytes_max);
    }
    if (parser.refusal()) {
      FUZZ_MUST(parser.refusal()->status >= 400 && parser.refusal()->status < 600);
      return 0;
    }
    if (!parser.Done()) return 0;
  }
  return 0;
}
