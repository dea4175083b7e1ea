#include "worker-runtime/nats/queue_setup.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "worker-runtime/base/log.h"
#include "worker-runtime/nats/json_converge.h"

namespace lanekeeper::nats {
namespace {

using nlohmann::json;

// A parked retry occupies ack_pending (facts of JetStream), so the limit must never be the reason
// why a lane stands still.
constexpr std::int64_t kAckPendingMax = 100'000;
// One open pull per worker, more while workers top up. The server's default of 512 would silently
// drop the 513th.
constexpr std::int64_t kPullsMax = 4096;
constexpr std::int64_t kDeadDuplicateWindowMinutes = 10;

std::int64_t Nanoseconds(std::chrono::nanoseconds duration) { return duration.count(); }

std::string_view NameOf(Storage storage) { return storage == Storage::kMemory ? "memory" : "file"; }

std::string TextAt(const json& object, const char* field) {
  const auto found = object.find(field);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

json JobStreamConfig(const LaneKey& key, const std::string& stream, const JobQueueSpec& spec) {
  return {{"name", stream},
          {"subjects", {JobSubject(key)}},
          {"retention", "workqueue"},
          {"storage", NameOf(spec.storage)},
          {"discard", "new"},
          {"max_msgs", spec.depth_max},
          {"num_replicas", spec.replicas},
          {"allow_direct", true},
          {"metadata",
           {{"lanekeeper.dev/schema", "1"},
            {"lanekeeper.dev/pool", key.pool_namespace + "/" + key.pool},
            {"lanekeeper.dev/lane", key.lane}}}};
}

json ConsumerConfig(const std::string& consumer, const JobQueueSpec& spec) {
  return {{"durable_name", consumer},
          {"name", consumer},
          {"ack_policy", "explicit"},
          {"deliver_policy", "all"},
          {"replay_policy", "instant"},
          {"ack_wait", Nanoseconds(spec.ack_wait)},
          {"max_deliver", -1},
          {"backoff", json::array()},
          {"max_ack_pending", kAckPendingMax},
          {"metadata", {{"lanekeeper.dev/schema", "1"}}}};
}

json DeadStreamConfig(std::string_view pool_namespace, std::string_view pool,
                      const DeadLetterSpec& spec) {
  return {{"name", DeadStreamName(pool_namespace, pool)},
          {"subjects", {DeadSubjectFilter(pool_namespace, pool)}},
          {"retention", "limits"},
          {"storage", NameOf(spec.storage)},
          {"discard", "old"},
          {"max_msgs", spec.messages_max},
          {"max_bytes", spec.bytes_max > 0 ? spec.bytes_max : -1},
          {"max_age", Nanoseconds(spec.age_max)},
          {"duplicate_window", Nanoseconds(std::chrono::minutes(kDeadDuplicateWindowMinutes))},
          {"num_replicas", spec.replicas},
          {"allow_direct", true},
          {"metadata",
           {{"lanekeeper.dev/schema", "1"},
            {"lanekeeper.dev/pool", std::string(pool_namespace) + "/" + std::string(pool)}}}};
}

// As any NATS client makes a KV bucket, so that any can read it.
json BucketConfig(std::string_view bucket, const BucketSpec& spec) {
  return {{"name", "KV_" + std::string(bucket)},
          {"subjects", {"$KV." + std::string(bucket) + ".>"}},
          {"retention", "limits"},
          {"storage", NameOf(spec.storage)},
          {"discard", "new"},
          {"max_msgs_per_subject", 1},
          {"max_age", Nanoseconds(spec.age_max)},
          {"duplicate_window", Nanoseconds(std::chrono::minutes(2))},
          {"num_replicas", spec.replicas},
          {"allow_rollup_hdrs", true},
          {"allow_direct", true},
          {"allow_msg_ttl", true},
          {"deny_delete", true},
          {"metadata", {{"lanekeeper.dev/schema", "1"}}}};
}

// What no update can bring about, with what a person can do instead.
Result<void> CheckChangeable(const json& existing, const json& desired) {
  const std::string name = TextAt(desired, "name");
  const auto subjects = existing.find("subjects");
  const bool has_subjects =
      subjects != existing.end() && subjects->is_array() && !subjects->empty();
  const auto mirror = existing.find("mirror");
  if ((has_subjects && *subjects != desired["subjects"]) ||
      (mirror != existing.end() && !mirror->is_null())) {
    return Fail(ErrorKind::kInvalid,
                "stream " + name + " exists and is not Lanekeeper's: it takes " +
                    (has_subjects ? subjects->dump() : "a mirror") + ", not " +
                    desired["subjects"].dump() +
                    "; name the pool differently, or rename or remove that stream");
  }
  for (const char* field : {"storage", "retention"}) {
    if (TextAt(existing, field) == TextAt(desired, field)) continue;
    return Fail(ErrorKind::kInvalid,
                "stream " + name + ": " + field + " is " + TextAt(existing, field) + ", wanted " +
                    TextAt(desired, field) +
                    "; JetStream cannot change it: set it back, or let the lane run empty and "
                    "remove the stream");
  }
  return {};
}

Result<void> EnsureStream(const JetStream& jetstream, const json& desired) {
  const std::string name = TextAt(desired, "name");
  // Twice, because somebody may create it between the reading and the creating.
  for (int attempt = 1;; ++attempt) {
    auto found = jetstream.StreamInfo(name);
    if (!found && found.error().cause == ApiCause::kStreamMissing) {
      auto created = jetstream.CreateStream(name, desired.dump());
      if (!created && created.error().err_code == 10058 && attempt == 1) continue;
      if (!created) return tl::unexpected(std::move(created).error().error);
      log::Info("nats", "stream_created", {{"stream", name}});
      return {};
    }
    if (!found) return tl::unexpected(std::move(found).error().error);
    const json existing = json::parse(found->config_json, nullptr, /*allow_exceptions=*/false);
    if (auto possible = CheckChangeable(existing, desired); !possible) return possible;
    auto merged = MergeDesired(found->config_json, desired.dump());
    if (!merged) return Wrap(std::move(merged).error(), "stream " + name);
    if (!*merged) return {};
    if (auto updated = jetstream.UpdateStream(name, **merged); !updated) {
      return tl::unexpected(std::move(updated).error().error);
    }
    log::Info("nats", "stream_changed", {{"stream", name}});
    return {};
  }
}

Result<void> EnsureConsumer(const JetStream& jetstream, const std::string& stream,
                            const json& desired) {
  const std::string name = TextAt(desired, "name");
  for (int attempt = 1;; ++attempt) {
    auto found = jetstream.ConsumerInfo(stream, name);
    if (!found && found.error().cause == ApiCause::kConsumerMissing) {
      json config = desired;
      // Only at birth: JetStream refuses to change it later.
      config["max_waiting"] = kPullsMax;
      auto created = jetstream.PutConsumer(stream, name, config.dump(), "create");
      if (!created && created.error().err_code == 10148 && attempt == 1) continue;
      if (!created) return tl::unexpected(std::move(created).error().error);
      log::Info("nats", "consumer_created", {{"stream", stream}, {"consumer", name}});
      return {};
    }
    if (!found) return tl::unexpected(std::move(found).error().error);
    const json existing = json::parse(found->config_json, nullptr, /*allow_exceptions=*/false);
    if (!TextAt(existing, "deliver_subject").empty() ||
        TextAt(existing, "ack_policy") != "explicit") {
      return Fail(ErrorKind::kInvalid,
                  "consumer " + stream + "/" + name +
                      " exists and is not a pull consumer with explicit acks; remove it, and "
                      "Lanekeeper creates the right one");
    }
    auto merged = MergeDesired(found->config_json, desired.dump());
    if (!merged) return Wrap(std::move(merged).error(), "consumer " + stream + "/" + name);
    if (!*merged) return {};
    if (auto updated = jetstream.PutConsumer(stream, name, **merged, "update"); !updated) {
      return tl::unexpected(std::move(updated).error().error);
    }
    log::Info("nats", "consumer_changed", {{"stream", stream}, {"consumer", name}});
    return {};
  }
}

// null: there is no such stream.
Result<json> ConfigOf(const JetStream& jetstream, std::string_view stream) {
  auto found = jetstream.StreamInfo(stream);
  if (!found && found.error().cause == ApiCause::kStreamMissing) return json();
  if (!found) return tl::unexpected(std::move(found).error().error);
  return json::parse(found->config_json, nullptr, /*allow_exceptions=*/false);
}

int ReplicasIn(const json& config) {
  if (!config.is_object()) return 0;
  const auto replicas = config.find("num_replicas");
  return replicas != config.end() && replicas->is_number_integer() ? replicas->get<int>() : 0;
}

Result<void> Raise(const JetStream& jetstream, json existing, int replicas) {
  if (ReplicasIn(existing) >= replicas) return {};
  existing["num_replicas"] = replicas;
  return EnsureStream(jetstream, existing);
}

}  // namespace

Result<void> EnsureJobQueue(const JetStream& jetstream, const LaneKey& key,
                            const JobQueueSpec& spec) {
  if (spec.depth_max < 1) return Fail(ErrorKind::kInvalid, "depth_max must be at least 1");
  const std::string stream = spec.stream.empty() ? JobStreamName(key) : spec.stream;
  const std::string consumer = spec.consumer.empty() ? std::string(kConsumerName) : spec.consumer;
  if (auto ready = EnsureStream(jetstream, JobStreamConfig(key, stream, spec)); !ready) {
    return ready;
  }
  return EnsureConsumer(jetstream, stream, ConsumerConfig(consumer, spec));
}

Result<void> EnsureDeadLetters(const JetStream& jetstream, std::string_view pool_namespace,
                               std::string_view pool, const DeadLetterSpec& spec) {
  return EnsureStream(jetstream, DeadStreamConfig(pool_namespace, pool, spec));
}

Result<void> EnsureBucket(const JetStream& jetstream, std::string_view bucket,
                          const BucketSpec& spec) {
  const json desired = BucketConfig(bucket, spec);
  const std::string stream = TextAt(desired, "name");
  auto existing = ConfigOf(jetstream, stream);
  if (!existing) return tl::unexpected(std::move(existing).error());
  if (existing->is_null()) return EnsureStream(jetstream, desired);
  return Raise(jetstream, *std::move(existing), spec.replicas);
}

Result<int> ReplicasOf(const JetStream& jetstream, std::string_view stream) {
  auto existing = ConfigOf(jetstream, stream);
  if (!existing) return tl::unexpected(std::move(existing).error());
  return ReplicasIn(*existing);
}

Result<void> RaiseReplicas(const JetStream& jetstream, std::string_view stream, int replicas) {
  auto existing = ConfigOf(jetstream, stream);
  if (!existing) return tl::unexpected(std::move(existing).error());
  if (existing->is_null()) return {};
  return Raise(jetstream, *std::move(existing), replicas);
}

Result<void> RemoveStream(const JetStream& jetstream, std::string_view stream) {
  auto removed = jetstream.DeleteStream(stream);
  if (removed || removed.error().cause == ApiCause::kStreamMissing) return {};
  return tl::unexpected(std::move(removed).error().error);
}

}  // namespace lanekeeper::nats
