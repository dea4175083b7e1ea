#include <cstdio>
#include <string>
#include <string_view>

#include "operator/control/ports.h"
#include "worker-runtime/base/text.h"

namespace lanekeeper {
namespace {

// Nothing here is a secret and nobody gains by a collision: the worst is a change applied one pass
// late.
class FieldHash {
 public:
  void Add(std::string_view text) {
    // 0xff ends a field: "ab","c" is not "a","bc". It is in no UTF-8 text.
    hash_ = Fnv1a("\xff", Fnv1a(text, hash_));
  }
  void Add(std::int64_t number) { Add(std::to_string(number)); }
  std::string Hex() const {
    char text[17];
    std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(hash_));
    return text;
  }

 private:
  std::uint64_t hash_ = kFnv1aBasis;
};

}  // namespace

std::string LaneHash(const Lane& lane) {
  FieldHash hash;
  hash.Add("3");  // The form of the manifest; raise it when deployment_manifest.cpp changes.
  hash.Add(lane.name);
  hash.Add(static_cast<std::int64_t>(lane.lane_class));
  hash.Add(lane.template_json);
  hash.Add(lane.queue.stream);
  hash.Add(lane.queue.consumer);
  hash.Add(lane.jobs.timeout.count());
  hash.Add(lane.jobs.attempts_max);
  hash.Add(lane.jobs.crashes_max);
  hash.Add(NameOf(lane.jobs.tracking));
  hash.Add(lane.jobs.overrun_lane);
  hash.Add(lane.jobs.backoff.initial.count());
  hash.Add(lane.jobs.backoff.max.count());
  hash.Add(lane.workers.slots);
  hash.Add(lane.workers.grace.count());
  hash.Add(std::int64_t{lane.workers.add_gpu_limit ? lane.workers.gpus : 0});
  // Only then: a pool without it keeps the hash it had before there was such a thing.
  if (lane.nats) {
    for (const std::string& part :
         {lane.nats->url, lane.nats->credentials.secret, lane.nats->credentials.key,
          lane.nats->tls_ca.secret, lane.nats->tls_ca.key, lane.nats->tls_certificate_of}) {
      hash.Add(part);
    }
  }
  return hash.Hex();
}

}  // namespace lanekeeper
