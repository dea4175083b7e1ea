// Where a worker gets its jobs from, and whom it tells what became of them.
//
// NatsJobSource is the real one; FakeJobSource (fake_job_source.h) records what it was told.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "worker-runtime/base/result.h"
#include "worker-runtime/job/job.h"
#include "worker-runtime/job/settlement.h"

namespace lanekeeper::runner {

// A message in our hands for as long as its lease lasts.
struct Received {
  JobMessage message;
  std::string lease;  // Names the delivery to the source; opaque to everybody else.
};

// Fetch and Withdraw from one thread, everything else from any. No call waits for longer than its
// timeout, or a few seconds.
class JobSource {
 public:
  virtual ~JobSource() = default;

  // Up to `free_slots` messages in all, >= 1; returns as soon as there is one, empty after
  // `timeout` or Interrupt. After an error call it again: it paces itself.
  virtual Result<std::vector<Received>> Fetch(int free_slots,
                                              std::chrono::milliseconds timeout) = 0;
  // Makes a running Fetch, or the next one, return at once.
  virtual void Interrupt() = 0;
  // Takes back what was asked for; returns what had been sent already. Nothing comes afterwards.
  virtual std::vector<Received> Withdraw(std::chrono::milliseconds timeout) = 0;

  // While false every call below fails at once.
  virtual bool Connected() const = 0;
  // How long a lease lasts without ExtendLease. > 0.
  virtual std::chrono::milliseconds LeaseTime() const = 0;
  virtual Result<void> ExtendLease(const std::string& lease) = 0;

  // The job is done: it is gone when this returns.
  virtual Result<void> Acknowledge(const std::string& lease) = 0;
  // The same with one try and without waiting: `handler` is called once, on a thread of the source
  // or before this returns, and is short.
  virtual void AcknowledgeAsync(const std::string& lease,
                                std::function<void(Result<void>)> handler) = 0;
  // Told, not confirmed. For jobs whose record says that they are done: when it is lost, the job
  // comes again and is not run.
  virtual void AcknowledgeSoon(const std::string& lease) = 0;
  // It is delivered again after `delay`; 0 = at once.
  virtual Result<void> GiveBack(const std::string& lease, std::chrono::milliseconds delay) = 0;
  // It is stored among the dead letters when this returns; doing it again stores nothing new.
  // kRetryable: try again soon. Anything else: a person has to act.
  virtual Result<void> PutDead(const JobMessage& message, const DeadLetter& letter) = 0;
  // It is stored in another lane of the pool when this returns; again stores nothing new.
  // kRetryable: try again later, also when that lane is full.
  virtual Result<void> PutMoved(const JobMessage& message, const std::string& lane) = 0;
  // Whether message `sequence` is still in the lane, waiting or running.
  virtual Result<bool> Holds(std::uint64_t sequence) = 0;
  // Whether the process `instance` of `worker` says that it has the job in hand. False when nobody
  // answers within half a second.
  virtual bool HeldBy(const std::string& worker, const std::string& instance,
                      const std::string& id) = 0;
  // It is gone from the lane when this returns. Only after PutDead or PutMoved.
  virtual Result<void> Remove(const std::string& lease, const std::string& reason) = 0;
};

}  // namespace lanekeeper::runner
