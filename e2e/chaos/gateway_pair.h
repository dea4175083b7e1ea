// Two gateways before the same queues, as processes that can be killed; each keeps its address.
//
// One thread, but for url(). Throws std::runtime_error when one cannot be started.
#pragma once

#include <array>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "e2e/bench/child.h"

namespace lanekeeper::e2e {

class GatewayPair {
 public:
  static constexpr std::size_t kGateways = 2;

  // Starts both. Their logs go to `folder`.
  GatewayPair(std::string nats_url, std::filesystem::path folder);

  const std::string& url(std::size_t gateway) const { return urls_.at(gateway); }  // Any thread.
  std::vector<std::string> urls() const { return {urls_.begin(), urls_.end()}; }

  void Kill(std::size_t gateway);  // SIGKILL.
  void Start(std::size_t gateway);
  // Until this gateway says that it can take jobs. False when it does not for a long time.
  bool AwaitReady(std::size_t gateway) const;

 private:
  const std::string nats_url_;
  const std::filesystem::path folder_;
  std::array<int, kGateways> ports_{};
  std::array<std::string, kGateways> urls_;
  std::array<std::optional<Child>, kGateways> gateways_;
};

}  // namespace lanekeeper::e2e
