// A JobSource in memory: hands out what it was given and records what it was told. For tests of the
// runner, and of programs built on it. Any thread.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "worker-runtime/runner/job_source.h"

namespace lanekeeper::runner {

class FakeJobSource final : public JobSource {
 public:
  // Puts a message into the lane; its sequence is its lease.
  void Add(JobMessage message);
  // Waits until `holds(events)` or 60 s have passed; true when it held. `events` are lines like
  // "ack 1", "back 2 after 1s", "dead 3 rejected", "remove 3 rejected", "extend 4", "move 5 long",
  // "withdraw".
  bool WaitFor(const std::function<bool(const std::vector<std::string>& events)>& holds);
  bool WaitForEvent(const std::string& event);
  std::vector<std::string> events() const;
  std::vector<std::pair<JobMessage, DeadLetter>> dead() const;
  int largest_fetch() const;  // Of all calls, the most slots.
  int last_fetch() const;

  // What goes wrong from now on.
  void SetConnected(bool connected);
  void SetLeaseTime(std::chrono::milliseconds lease_time);
  void FailFetch(Result<void> result);  // Success: fetches work again.
  void FailPutDead(Result<void> result);
  void SetHolder(std::string instance);  // That answers for every job; empty = nobody does.
  void SetHolder(std::function<bool(const std::string& instance, const std::string& id)> holds);
  void FailPutMoved(Result<void> result);
  void FailAcknowledge(Result<void> result);
  // Messages the server had already sent when it was told to stop: Withdraw returns them.
  void AddInFlight(JobMessage message);

  Result<std::vector<Received>> Fetch(int free_slots, std::chrono::milliseconds timeout) override;
  void Interrupt() override;
  std::vector<Received> Withdraw(std::chrono::milliseconds timeout) override;
  bool Connected() const override;
  std::chrono::milliseconds LeaseTime() const override;
  Result<void> ExtendLease(const std::string& lease) override;
  Result<void> Acknowledge(const std::string& lease) override;
  void AcknowledgeAsync(const std::string& lease,
                        std::function<void(Result<void>)> handler) override;
  void AcknowledgeSoon(const std::string& lease) override;
  Result<void> GiveBack(const std::string& lease, std::chrono::milliseconds delay) override;
  Result<void> PutDead(const JobMessage& message, const DeadLetter& letter) override;
  Result<void> PutMoved(const JobMessage& message, const std::string& lane) override;
  // True for what was added and not settled.
  Result<bool> Holds(std::uint64_t sequence) override;
  // As SetHolder said last.
  bool HeldBy(const std::string& worker, const std::string& instance,
              const std::string& id) override;
  Result<void> Remove(const std::string& lease, const std::string& reason) override;

 private:
  // Precondition of both: mutex_ is held.
  void Record(std::string event);
  Result<void> Told(const std::string& verb, const std::string& lease, const std::string& more,
                    const Result<void>& result);

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Received> waiting_;
  std::vector<Received> in_flight_;
  std::vector<std::string> events_;
  std::vector<std::pair<JobMessage, DeadLetter>> dead_;
  bool interrupted_ = false;
  bool connected_ = true;
  std::chrono::milliseconds lease_time_{30000};
  Result<void> fetch_result_;
  Result<void> put_dead_result_;
  Result<void> put_moved_result_;
  Result<void> acknowledge_result_;
  std::set<std::uint64_t> held_;
  std::function<bool(const std::string& instance, const std::string& id)> holds_;
  int largest_fetch_ = 0;
  int last_fetch_ = 0;
};

}  // namespace lanekeeper::runner
