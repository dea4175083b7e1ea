// What stands in the buckets of NATS, where anybody with the account may write: pools, pauses and
// records of jobs. The first byte chooses.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "worker-runtime/gateway/fuzz/must.h"
#include "worker-runtime/nats/job_record_json.h"
#include "worker-runtime/nats/pool_brief_json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace lanekeeper;  // NOLINT: one function.
  if (size == 0) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  // What was read is written as something that reads the same.
  if (data[0] == 'r') {
    const auto record = nats::ReadJobRecord(text);
    if (!record) return 0;
    const auto again = nats::ReadJobRecord(nats::WriteJobRecord(*record));
    FUZZ_MUST(again.has_value());
    FUZZ_MUST(nats::WriteJobRecord(*again) == nats::WriteJobRecord(*record));
  } else if (data[0] == 'p') {
    const auto pause = nats::ReadLanePause(text);
    if (!pause) return 0;
    const auto again = nats::ReadLanePause(nats::WriteLanePause(*pause));
    FUZZ_MUST(again.has_value());
  } else {
    const auto brief = nats::ReadPoolBrief(text);
    if (!brief) return 0;
    FUZZ_MUST(!brief->lanes.empty());
    for (const LaneBrief& lane : brief->lanes) {
      FUZZ_MUST(!lane.stream.empty() && !lane.consumer.empty());
      FUZZ_MUST(CheckLaneKey(brief->KeyOf(lane)).has_value());
    }
    const auto again = nats::ReadPoolBrief(nats::WritePoolBrief(*brief));
    FUZZ_MUST(again.has_value());
    FUZZ_MUST(*again == *brief);
  }
  return 0;
}
