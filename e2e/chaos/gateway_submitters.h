// Clients that hand in jobs and remember what they were told: plain submits, submits under a key
// that are sent until they are answered and now and then again, and bulks of both.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "e2e/chaos/gateway_verdict.h"
#include "worker-runtime/client/client.h"

namespace lanekeeper::e2e {

struct SubmitCounts {
  std::int64_t answered = 0;  // 202, also repeated ones.
  std::int64_t failed = 0;    // Tries without one.
  std::int64_t refused = 0;   // Of these, answers that no retry may change: a fault.
  std::string refusal;        // One of them.
};

struct GatewaySubmitterOptions {
  std::vector<std::string> urls;  // Of the gateways.
  PoolName pool;
  std::string lane;  // Stands in every submit's name; empty: the pool's routes decide.
  int clients = 1;
  std::chrono::milliseconds pause{3};  // Between two submits of a client.
};

class GatewaySubmitters {
 public:
  // Each client takes one of the gateways at random for each try. They begin at once.
  explicit GatewaySubmitters(GatewaySubmitterOptions options);
  ~GatewaySubmitters();

  // While they rest nobody begins anything new.
  void Rest(bool rests) { rests_ = rests; }
  // Lets every client end what it began: keyed submits are sent until they are answered. Nobody
  // may kill anything meanwhile.
  void Finish();
  SubmitCounts Counts() const;
  // Answers and submits; no jobs. After Finish.
  GatewayEvidence Evidence() const;

 private:
  struct Told;

  void Run(int number, const std::stop_token& stop);
  void SubmitPlain(Told& told, const std::string& name);
  void SubmitKeyed(Told& told, const std::string& name);
  void SubmitBulk(Told& told, const std::string& name);
  void SubmitAgain(Told& told);
  // One try. False: there was no 202.
  bool Try(Told& told, const std::string& name, bool keyed);
  Client& AnyClient(std::mt19937& random) const;
  void NoteError(const ClientError& error);

  NewJob JobOf(const std::string& name, bool keyed) const;

  const GatewaySubmitterOptions options_;
  std::atomic<bool> rests_{false};
  std::vector<std::unique_ptr<Client>> gateways_;  // Without retries: the clients here do that.
  std::vector<std::unique_ptr<Told>> told_;
  mutable std::mutex mutex_;
  SubmitCounts counts_;
  std::vector<std::string> recent_keys_;  // That other clients repeat.
  std::vector<std::jthread> threads_;     // The last: they use the rest.
};

}  // namespace lanekeeper::e2e
