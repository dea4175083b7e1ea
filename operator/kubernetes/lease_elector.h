// Drives a LeaseElection against the API server, on a thread of its own.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "operator/control/leadership.h"
#include "operator/kubernetes/api.h"
#include "operator/kubernetes/lease_election.h"
#include "worker-runtime/base/clock.h"

namespace lanekeeper::kubernetes {

class LeaseElector final : public Leadership {
 public:
  struct Options {
    ObjectName lease;
    std::string identity;
    LeaseTimes times;
  };

  // `api` and `clock` outlive this. An ApiClient of its own keeps renewals from waiting for
  // anything else, and its writes from being counted among those of the operator.
  LeaseElector(Api& api, const Clock& clock, Options options);
  ~LeaseElector() override { Stop(); }

  // `on_change` runs on the thread after a lead has begun or ended.
  void Start(std::function<void()> on_change);
  // Leads no more, from the moment it is called, and hands the lease back so that another can take
  // it at once; waits for that, two seconds at most. Nothing may be under way in the name of the
  // lead any more. Idempotent.
  void Stop();

  // By the clock of this moment: nothing from the renew deadline on, whatever the thread does.
  std::optional<Lead> Current() const override;
  // Whom the lease names; empty: nobody, or not known. Any thread.
  std::string holder() const;
  // What a person has to act on: the server refuses this operator the lease. Any thread.
  std::optional<std::string> refused() const;

 private:
  struct Known {
    std::optional<Lead> lead;
    MonotonicTime acts_until{};
    std::string holder;
    std::optional<std::string> refused;
  };

  void Run(const std::stop_token& stop);
  void Ask(const LeaseElection::Step& step, const std::stop_token& stop);
  void Publish(const std::stop_token& stop);
  void LogLead(const std::optional<Lead>& before);
  void LogTrouble();
  void HandBack();

  Api& api_;
  const Clock& clock_;
  const Options options_;
  std::function<void()> on_change_;

  mutable std::mutex mutex_;
  Known known_;

  // Of the thread, and of Stop after it.
  LeaseElection election_;
  std::string holder_logged_;
  int failures_ = 0;  // In a row.

  std::jthread thread_;
};

}  // namespace lanekeeper::kubernetes
