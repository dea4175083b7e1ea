// Two operators that stand by for one another with a Lease, as processes that can be killed.
//
// One thread. Throws std::runtime_error when something fails that nobody meant to break.
#pragma once

#include <array>
#include <chrono>
#include <filesystem>
#include <optional>
#include <string>

#include "e2e/bench/child.h"
#include "operator/kubernetes/api.h"

namespace lanekeeper::e2e {

inline constexpr std::size_t kOperators = 2;
inline constexpr std::chrono::seconds kLeaseDuration{6};

// "operator-a", "operator-b".
std::string OperatorName(std::size_t number);

struct OperatorPairOptions {
  std::filesystem::path folder;  // For logs.
  std::array<std::string, kOperators> kubeconfigs;
  std::string nats_url;
  std::string pool_namespace;  // The Lease is there, too.
};

class OperatorPair {
 public:
  // Starts both. `api` outlives this.
  OperatorPair(kubernetes::Api& api, OperatorPairOptions options);

  // The process that the lease names; nothing: nobody, or one that is no more.
  std::optional<std::size_t> Leader();
  std::size_t AwaitLeader();
  void Start(std::size_t number);
  void Signal(std::size_t number, int signal) { operators_.at(number)->Signal(signal); }
  void Kill(std::size_t number);
  // SIGTERM, and waits for its end.
  void Stop(std::size_t number);
  // Until it says that it is ready, whether it leads or stands by.
  void AwaitReady(std::size_t number);
  void DeleteLease();
  // Of one that runs, the sum of all series of that name; NaN when it does not say.
  double Metric(std::size_t number, const std::string& name) const;

 private:
  void End(std::size_t number, int signal);

  kubernetes::Api& api_;
  const OperatorPairOptions options_;
  std::array<std::optional<Child>, kOperators> operators_;
  std::array<int, kOperators> http_ports_{};
};

}  // namespace lanekeeper::e2e
