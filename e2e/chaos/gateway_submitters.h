// Clients that hand in jobs and remember what they were told: plain submits, submits under a key
// that are sent until they are answered and now and then again, and bulks of both.
#pragma once

#include <atomic>
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

class GatewaySubmitters {
 public:
  // Each client takes one of the gateways at random for each try. They begin at once.
  GatewaySubmitters(const std::vector<std::string>& urls, PoolName pool, int clients);
  ~GatewaySubmitters();

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

  const PoolName pool_;
  std::vector<std::unique_ptr<Client>> gateways_;  // Without retries: the clients here do that.
  std::vector<std::unique_ptr<Told>> told_;
  mutable std::mutex mutex_;
  SubmitCounts counts_;
  std::vector<std::string> recent_keys_;  // That other clients repeat.
  std::vector<std::jthread> threads_;     // The last: they use the rest.
};

}  // namespace lanekeeper::e2e
