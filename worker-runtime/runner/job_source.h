// Where a worker gets its jobs from, and whom it tells what became of them.
//
// NatsJobSource is the real one; FakeJobSource (fake_job_source.h) records what it was told.
#pragma once

#include <chrono>
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
  // It is delivered again after `delay`; 0 = at once.
  virtual Result<void> GiveBack(const std::string& lease, std::chrono::milliseconds delay) = 0;
  // It is stored among the dead letters when this returns; doing it again stores nothing new.
  // kRetryable: try again soon. Anything else: a person has to act.
  virtual Result<void> PutDead(const JobMessage& message, const DeadLetter& letter) = 0;
  // It is gone from the lane when this returns. Only after PutDead.
  virtual Result<void> Remove(const std::string& lease, const std::string& reason) = 0;
};

}  // namespace lanekeeper::runner
