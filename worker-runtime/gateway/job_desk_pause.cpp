#include "worker-runtime/gateway/job_desk_pause.h"

#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "worker-runtime/base/log.h"
#include "worker-runtime/gateway/find_pool.h"
#include "worker-runtime/nats/pool_brief_json.h"
#include "worker-runtime/nats/queue_setup.h"

namespace lanekeeper::gateway {
namespace {

using nats::ApiCause;
using nlohmann::json;

constexpr std::size_t kReasonBytesMax = 256;

// The lane as its pool has it.
Answer<LaneBrief> LaneOf(const DeskCore& core, const LaneKey& key) {
  const auto pool = FindPool(core.pools, key.pool_namespace, key.pool);
  if (!pool) return tl::unexpected(pool.error());
  const LaneBrief* lane = (*pool)->FindLane(key.lane);
  if (lane == nullptr) {
    return Refuse(ProblemType::kLaneNotFound, "there is no lane " + ToString(key));
  }
  return *lane;
}

// Nothing: goes on at once.
Answer<void> SetConsumer(const DeskCore& core, const LaneKey& key, const LaneBrief& lane,
                         std::optional<WallTime> until) {
  json request = json::object();
  if (until) request["pause_until"] = FormatRfc3339Nanos(*until);
  const auto answer =
      core.jetstream.Call("CONSUMER.PAUSE." + lane.stream + "." + lane.consumer, request.dump());
  if (answer) return {};
  if (answer.error().cause == ApiCause::kStreamMissing ||
      answer.error().cause == ApiCause::kConsumerMissing) {
    return Refuse(ProblemType::kLaneNotFound, "lane " + ToString(key) + " has no consumer " +
                                                  lane.stream + "/" + lane.consumer +
                                                  " yet; the operator makes it");
  }
  return tl::unexpected(Unavailable("pausing or resuming a lane", answer.error().error));
}

// For as long as it says; the server removes what has run out.
Answer<void> WriteWhy(const DeskCore& core, const LaneKey& key, const LanePause& pause,
                      WallTime now) {
  const auto kept = std::chrono::ceil<std::chrono::seconds>(pause.until - now);
  const nats::Headers headers{{"Nats-TTL", std::to_string(kept.count()) + "s"}};
  for (int tries = 1;; ++tries) {
    const auto stored =
        core.jetstream.PublishAck(LanePauseSubject(key), nats::WriteLanePause(pause), headers);
    if (stored) return {};
    if (stored.error().cause != ApiCause::kStreamMissing || tries > 1) {
      return tl::unexpected(Unavailable("storing why a lane is paused", stored.error().error));
    }
    auto made = nats::EnsureBucket(core.jetstream, kPoolBucket, {.age_max = std::chrono::hours(0)});
    if (!made) return tl::unexpected(Unavailable("making the pools' bucket", made.error()));
  }
}

}  // namespace

Answer<void> PauseLane(const DeskCore& core, const LaneKey& key, const LanePause& pause,
                       WallTime now) {
  if (pause.until <= now) {
    return Refuse(ProblemType::kInvalidRequest,
                  "until: " + FormatRfc3339(pause.until) + " has passed; give a time to come");
  }
  if (pause.reason.size() > kReasonBytesMax) {
    return Refuse(ProblemType::kInvalidRequest,
                  "reason: has " + std::to_string(pause.reason.size()) + " bytes, at most " +
                      std::to_string(kReasonBytesMax) + " are kept");
  }
  const auto lane = LaneOf(core, key);
  if (!lane) return tl::unexpected(lane.error());
  if (auto paused = SetConsumer(core, key, *lane, pause.until); !paused) return paused;
  auto written = WriteWhy(core, key, pause, now);
  if (written) {
    log::Info("gateway", "lane_paused",
              {{"lane", ToString(key)}, {"until", FormatRfc3339(pause.until)}, {"by", pause.by}});
    return {};
  }
  // Nobody would know why nothing goes on.
  static_cast<void>(SetConsumer(core, key, *lane, std::nullopt));
  return written;
}

Answer<void> ResumeLane(const DeskCore& core, const LaneKey& key) {
  const auto lane = LaneOf(core, key);
  if (!lane) return tl::unexpected(lane.error());
  if (auto resumed = SetConsumer(core, key, *lane, std::nullopt); !resumed) return resumed;
  const auto removed = core.jetstream.PublishAck(LanePauseSubject(key), "",
                                                 {{"KV-Operation", "DEL"}, {"Nats-TTL", "60s"}});
  if (!removed && removed.error().cause != ApiCause::kStreamMissing) {
    return tl::unexpected(Unavailable("removing why a lane is paused", removed.error().error));
  }
  log::Info("gateway", "lane_resumed", {{"lane", ToString(key)}});
  return {};
}

}  // namespace lanekeeper::gateway
