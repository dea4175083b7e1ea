// Three nats-servers of one JetStream cluster for tests, child processes on 127.0.0.1: streams and
// consumers with three replicas, leaders that can be made to step down, nodes that can be killed.
#pragma once

#include <array>
#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "worker-runtime/base/result.h"
#include "worker-runtime/nats/jetstream.h"
#include "worker-runtime/nats/testing/nats_server.h"

namespace lanekeeper::nats {

// One thread. The destructor ends the three children and removes their directories.
class NatsCluster {
 public:
  static constexpr int kNodes = 3;

  // Starts the nodes "n0", "n1", "n2" and waits until they can store a stream of three replicas.
  // `config` is added to the configuration of each.
  static Result<NatsCluster> Run(const std::string& config = "");

  // Start, Stop, Kill, Pause and Resume it as you like; `index` is 0..kNodes-1.
  NatsServer& node(int index) { return nodes_.at(static_cast<std::size_t>(index)); }
  // The node of that server name, as StreamLeader returns it; null when there is none.
  NatsServer* node(std::string_view name);
  // All three with commas between.
  std::string url() const;

  // Returns once the cluster has a leader and can store a stream of three replicas: needs all three
  // nodes. kRetryable after a minute.
  Result<void> WaitReady() const;

 private:
  explicit NatsCluster(std::vector<NatsServer> nodes) : nodes_(std::move(nodes)) {}

  std::vector<NatsServer> nodes_;
};

// The server name of the node that leads it. kRetryable while nobody does.
Result<std::string> StreamLeader(const JetStream& jetstream, std::string_view stream);
Result<std::string> ConsumerLeader(const JetStream& jetstream, std::string_view stream,
                                   std::string_view consumer);
// The leader hands its place to another node. Returns when it has agreed; the new leader is there a
// moment later, StreamLeader tells.
Result<void> StepDownStream(const JetStream& jetstream, std::string_view stream);
Result<void> StepDownConsumer(const JetStream& jetstream, std::string_view stream,
                              std::string_view consumer);

}  // namespace lanekeeper::nats
