// Jobs from the pull consumer of a lane.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "worker-runtime/base/result.h"
#include "worker-runtime/job/names.h"
#include "worker-runtime/nats/connection.h"
#include "worker-runtime/nats/grouped_acks.h"
#include "worker-runtime/nats/jetstream.h"
#include "worker-runtime/nats/pull_consumer.h"
#include "worker-runtime/runner/job_source.h"

namespace lanekeeper::runner {

struct NatsJobSourceOptions {
  std::string stream;
  std::string consumer;
  std::string dead_subject;
  LaneKey lane;              // Whose pool's other lanes take what overran this one.
  std::string worker;        // For the dead letter.
  bool confirm_acks = true;  // Acknowledge returns when the server has stored the ack.
  std::chrono::milliseconds answer_timeout{5000};  // Of one request to the server.
  // Of one confirmed ack. Short: a server that was killed has forgotten its last deliveries and
  // answers no ack for them, and a slot waits for each.
  std::chrono::milliseconds ack_timeout{2000};
};

class NatsJobSource final : public JobSource {
 public:
  // Asks for nothing yet: stream and consumer may come later. `connection` outlives this.
  static Result<std::unique_ptr<NatsJobSource>> Open(nats::Connection& connection,
                                                     NatsJobSourceOptions options);

  Result<std::vector<Received>> Fetch(int free_slots, std::chrono::milliseconds timeout) override;
  void Interrupt() override;
  std::vector<Received> Withdraw(std::chrono::milliseconds timeout) override;
  bool Connected() const override { return connection_.Connected(); }
  // The consumer's ack_wait, read before the first fetch and after every reconnect and error.
  std::chrono::milliseconds LeaseTime() const override { return lease_time_.load(); }
  Result<void> ExtendLease(const std::string& lease) override;
  Result<void> Acknowledge(const std::string& lease) override;
  void AcknowledgeAsync(const std::string& lease,
                        std::function<void(Result<void>)> handler) override;
  void AcknowledgeSoon(const std::string& lease) override;
  Result<void> GiveBack(const std::string& lease, std::chrono::milliseconds delay) override;
  Result<void> PutDead(const JobMessage& message, const DeadLetter& letter) override;
  Result<void> PutMoved(const JobMessage& message, const std::string& lane) override;
  Result<bool> Holds(std::uint64_t sequence) override;
  bool HeldBy(const std::string& worker, const std::string& instance,
              const std::string& id) override;
  Result<void> Remove(const std::string& lease, const std::string& reason) override;

 private:
  NatsJobSource(nats::Connection& connection, NatsJobSourceOptions options,
                std::unique_ptr<nats::PullConsumer> consumer);
  Result<void> LearnLeaseTime();

  nats::Connection& connection_;
  const nats::JetStream jetstream_;
  const NatsJobSourceOptions options_;
  const std::unique_ptr<nats::PullConsumer> consumer_;
  nats::GroupedAcks acks_;
  std::atomic<std::chrono::milliseconds> lease_time_{std::chrono::seconds(30)};
  std::uint64_t learned_epoch_ = 0;  // Of the connection; 0 = ask. Fetch's thread only.
};

}  // namespace lanekeeper::runner
