#include "worker-runtime/runner/nats_job_source.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <thread>
#include <utility>

#include "worker-runtime/base/clock.h"
#include "worker-runtime/base/log.h"
#include "worker-runtime/job/codec.h"
#include "worker-runtime/job/worker_report.h"

namespace lanekeeper::runner {
namespace {

constexpr std::chrono::milliseconds kErrorPause{500};
constexpr std::chrono::milliseconds kHeldTimeout{500};

Received Receive(nats::Delivery delivery) {
  const auto delivered =
      std::min<std::uint64_t>(delivery.delivered, std::numeric_limits<int>::max());
  Received received;
  received.lease = std::move(delivery.message.reply);
  received.message = {.stream = std::move(delivery.stream),
                      .sequence = delivery.stream_sequence,
                      .delivery = std::max(1, static_cast<int>(delivered)),
                      .stored_at = delivery.stored_at,
                      .payload = std::move(delivery.message.payload),
                      .headers = std::move(delivery.message.headers)};
  return received;
}

std::vector<Received> Receive(std::vector<nats::Delivery> deliveries) {
  std::vector<Received> received;
  received.reserve(deliveries.size());
  for (nats::Delivery& delivery : deliveries) received.push_back(Receive(std::move(delivery)));
  return received;
}

// What settlement needs of a delivery is its ack subject.
nats::Delivery DeliveryOf(const std::string& lease) {
  nats::Delivery delivery;
  delivery.message.reply = lease;
  return delivery;
}

// The ack_wait of a consumer's configuration, which the server keeps in nanoseconds.
std::chrono::milliseconds AckWaitOf(const std::string& config_json) {
  const nlohmann::json config = nlohmann::json::parse(config_json, nullptr, false);
  const auto found = config.is_object() ? config.find("ack_wait") : config.end();
  if (found == config.end() || !found->is_number_integer()) return std::chrono::seconds(30);
  const std::chrono::nanoseconds wait(found->get<std::int64_t>());
  return std::max(std::chrono::duration_cast<std::chrono::milliseconds>(wait),
                  std::chrono::milliseconds(1));
}

}  // namespace

Result<std::unique_ptr<NatsJobSource>> NatsJobSource::Open(nats::Connection& connection,
                                                           NatsJobSourceOptions options) {
  auto consumer = nats::PullConsumer::Open(connection, options.stream, options.consumer);
  if (!consumer) return Wrap(std::move(consumer).error(), "opening the queue");
  return std::unique_ptr<NatsJobSource>(
      new NatsJobSource(connection, std::move(options), *std::move(consumer)));
}

NatsJobSource::NatsJobSource(nats::Connection& connection, NatsJobSourceOptions options,
                             std::unique_ptr<nats::PullConsumer> consumer)
    : connection_(connection),
      jetstream_(connection, options.answer_timeout),
      options_(std::move(options)),
      consumer_(std::move(consumer)),
      acks_(connection, options_.ack_timeout) {}

Result<void> NatsJobSource::LearnLeaseTime() {
  const std::uint64_t epoch = connection_.Epoch();
  if (learned_epoch_ == epoch && epoch != 0) return {};
  const auto answer =
      jetstream_.Call("CONSUMER.INFO." + options_.stream + "." + options_.consumer, "");
  if (!answer) return nats::Wrap(answer.error(), "reading consumer " + options_.consumer);
  const auto state = nats::ParseConsumerState(*answer, /*with_config=*/true);
  if (!state) return nats::Wrap(state.error(), "reading consumer " + options_.consumer);
  lease_time_ = AckWaitOf(state->config_json);
  learned_epoch_ = epoch;
  return {};
}

Result<std::vector<Received>> NatsJobSource::Fetch(int free_slots,
                                                   std::chrono::milliseconds timeout) {
  // A job must not arrive before it is known how often its lease has to be renewed.
  if (Result<void> learned = LearnLeaseTime(); !learned) {
    std::this_thread::sleep_for(std::min(timeout, kErrorPause));
    return tl::unexpected(std::move(learned).error());
  }
  auto deliveries = consumer_->Fetch(free_slots, timeout);
  if (!deliveries) {
    learned_epoch_ = 0;  // The consumer may be another one when it is back.
    return tl::unexpected(std::move(deliveries).error());
  }
  return Receive(*std::move(deliveries));
}

void NatsJobSource::Interrupt() { consumer_->Interrupt(); }

std::vector<Received> NatsJobSource::Withdraw(std::chrono::milliseconds timeout) {
  return Receive(consumer_->Withdraw(timeout));
}

Result<void> NatsJobSource::ExtendLease(const std::string& lease) {
  // Kept in the client's buffer it would be sent after the reconnect, when the job may be somebody
  // else's.
  if (!Connected()) return Fail(ErrorKind::kRetryable, "extending a lease: not connected");
  return nats::InProgress(connection_, DeliveryOf(lease));
}

Result<void> NatsJobSource::Acknowledge(const std::string& lease) {
  if (!Connected()) return Fail(ErrorKind::kRetryable, "acknowledging: not connected");
  if (!options_.confirm_acks) return nats::Ack(connection_, DeliveryOf(lease));
  return nats::AckConfirmed(connection_, DeliveryOf(lease), options_.ack_timeout);
}

void NatsJobSource::AcknowledgeAsync(const std::string& lease,
                                     std::function<void(Result<void>)> handler) {
  if (!options_.confirm_acks) return handler(nats::Ack(connection_, DeliveryOf(lease)));
  acks_.Ack(lease, std::move(handler));
}

void NatsJobSource::AcknowledgeSoon(const std::string& lease) {
  static_cast<void>(nats::Ack(connection_, DeliveryOf(lease)));
}

Result<void> NatsJobSource::GiveBack(const std::string& lease, std::chrono::milliseconds delay) {
  if (!Connected()) return Fail(ErrorKind::kRetryable, "giving back: not connected");
  return nats::Nak(connection_, DeliveryOf(lease), delay);
}

Result<void> NatsJobSource::PutDead(const JobMessage& message, const DeadLetter& letter) {
  const DeadOrigin origin{.worker = options_.worker,
                          .time = FormatRfc3339(std::chrono::system_clock::now())};
  const auto parts =
      EncodeDeadLetter(message, letter, origin, static_cast<std::size_t>(connection_.MaxPayload()));
  if (parts.empty()) {
    return Fail(ErrorKind::kInvalid, "the headers of the dead letter do not fit into a message");
  }
  for (const OutMessage& part : parts) {
    const auto stored = jetstream_.PublishAck(options_.dead_subject, part.payload, part.headers);
    if (!stored) return tl::unexpected(stored.error().error);
  }
  return {};
}

Result<void> NatsJobSource::PutMoved(const JobMessage& message, const std::string& lane) {
  const OutMessage moved = EncodeMove(message, options_.lane.lane);
  const LaneKey target{options_.lane.pool_namespace, options_.lane.pool, lane};
  const auto stored = jetstream_.PublishAck(JobSubject(target), moved.payload, moved.headers);
  if (!stored) return nats::Wrap(stored.error(), "moving a job to lane " + lane);
  return {};
}

Result<bool> NatsJobSource::Holds(std::uint64_t sequence) {
  const auto found = jetstream_.GetMessage(options_.stream, sequence);
  if (found) return true;
  if (found.error().cause == nats::ApiCause::kMessageMissing) return false;
  return nats::Wrap(found.error(), "looking for message " + std::to_string(sequence));
}

bool NatsJobSource::HeldBy(const std::string& worker, const std::string& instance,
                           const std::string& id) {
  const auto answer =
      connection_.Request(WorkerControlSubject(options_.lane, worker),
                          std::string(kControlHolds) + instance + " " + id, {}, kHeldTimeout);
  return answer && answer->payload == kControlYes;
}

Result<void> NatsJobSource::Remove(const std::string& lease, const std::string& reason) {
  if (!Connected()) return Fail(ErrorKind::kRetryable, "removing: not connected");
  return nats::TermConfirmed(connection_, DeliveryOf(lease), reason, options_.ack_timeout);
}

}  // namespace lanekeeper::runner
