// What gateways stand on in a scenario: a nats-server, a pool with one lane, a worker that drains
// it, and two gateways before it. All of them are processes that can be killed.
//
// One thread, but for url(). Throws std::runtime_error when something fails that no scenario meant
// to break.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "e2e/chaos/chaos_lane.h"
#include "e2e/chaos/gateway_pair.h"
#include "e2e/chaos/gateway_verdict.h"
#include "worker-runtime/nats/testing/nats_server.h"

namespace lanekeeper::e2e {

class GatewayStage {
 public:
  static constexpr std::size_t kGateways = GatewayPair::kGateways;

  // Without `drained`, no worker is there: jobs wait until somebody starts one in lane().
  GatewayStage(const std::string& scenario, const std::filesystem::path& folder,
               bool drained = true);
  ~GatewayStage();

  ChaosLane& lane() { return *lane_; }
  const std::string& url(std::size_t gateway) const { return gateways_->url(gateway); }
  std::vector<std::string> urls() const { return gateways_->urls(); }

  // SIGKILL, and started anew on the same port.
  void RestartGateway(std::size_t gateway) {
    gateways_->Kill(gateway);
    gateways_->Start(gateway);
  }
  void KillGateway(std::size_t gateway) { gateways_->Kill(gateway); }
  void StartGateway(std::size_t gateway) { gateways_->Start(gateway); }
  void KillServer() { server_.Kill(); }
  void StartServer();
  // Until this gateway says that it can take jobs. False when it does not for a long time.
  bool AwaitReady(std::size_t gateway) const { return gateways_->AwaitReady(gateway); }

  // Waits until the lane is empty.
  void Drain();
  // What ran to its end.
  std::vector<GatewayJob> Jobs() const;

 private:
  void TellOfPool();
  void StartWorker();

  const std::filesystem::path folder_;
  nats::NatsServer server_;
  std::unique_ptr<ChaosLane> lane_;
  std::optional<GatewayPair> gateways_;
  std::optional<Child> worker_;
};

}  // namespace lanekeeper::e2e
