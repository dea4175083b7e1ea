#include "worker-runtime/runner/fake_job_source.h"

#include <algorithm>

#include "worker-runtime/base/duration.h"

namespace lanekeeper::runner {
namespace {

constexpr std::chrono::seconds kPatience{60};

Received Lease(JobMessage message) {
  Received received;
  received.lease = std::to_string(message.sequence);
  received.message = std::move(message);
  return received;
}

}  // namespace

void FakeJobSource::Add(JobMessage message) {
  const std::lock_guard lock(mutex_);
  held_.insert(message.sequence);
  waiting_.push_back(Lease(std::move(message)));
  changed_.notify_all();
}

void FakeJobSource::AddInFlight(JobMessage message) {
  const std::lock_guard lock(mutex_);
  in_flight_.push_back(Lease(std::move(message)));
}

bool FakeJobSource::WaitFor(
    const std::function<bool(const std::vector<std::string>& events)>& holds) {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, kPatience, [&] { return holds(events_); });
}

bool FakeJobSource::WaitForEvent(const std::string& event) {
  return WaitFor([&event](const std::vector<std::string>& events) {
    return std::find(events.begin(), events.end(), event) != events.end();
  });
}

std::vector<std::string> FakeJobSource::events() const {
  const std::lock_guard lock(mutex_);
  return events_;
}

std::vector<std::pair<JobMessage, DeadLetter>> FakeJobSource::dead() const {
  const std::lock_guard lock(mutex_);
  return dead_;
}

int FakeJobSource::largest_fetch() const {
  const std::lock_guard lock(mutex_);
  return largest_fetch_;
}

int FakeJobSource::last_fetch() const {
  const std::lock_guard lock(mutex_);
  return last_fetch_;
}

void FakeJobSource::SetConnected(bool connected) {
  const std::lock_guard lock(mutex_);
  connected_ = connected;
  changed_.notify_all();
}

void FakeJobSource::SetLeaseTime(std::chrono::milliseconds lease_time) {
  const std::lock_guard lock(mutex_);
  lease_time_ = lease_time;
}

void FakeJobSource::FailFetch(Result<void> result) {
  const std::lock_guard lock(mutex_);
  fetch_result_ = std::move(result);
}

void FakeJobSource::FailPutDead(Result<void> result) {
  const std::lock_guard lock(mutex_);
  put_dead_result_ = std::move(result);
}

void FakeJobSource::FailPutMoved(Result<void> result) {
  const std::lock_guard lock(mutex_);
  put_moved_result_ = std::move(result);
}

void FakeJobSource::FailAcknowledge(Result<void> result) {
  const std::lock_guard lock(mutex_);
  acknowledge_result_ = std::move(result);
}

Result<std::vector<Received>> FakeJobSource::Fetch(int free_slots,
                                                   std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  last_fetch_ = free_slots;
  largest_fetch_ = std::max(largest_fetch_, free_slots);
  changed_.wait_for(lock, fetch_result_ ? timeout : std::min(timeout, timeout / 100), [this] {
    return interrupted_ || (!waiting_.empty() && connected_ && fetch_result_);
  });
  interrupted_ = false;
  if (!fetch_result_) return tl::unexpected(fetch_result_.error());
  if (!connected_) return Fail(ErrorKind::kRetryable, "not connected");
  std::vector<Received> fetched;
  while (!waiting_.empty() && fetched.size() < static_cast<std::size_t>(free_slots)) {
    fetched.push_back(std::move(waiting_.front()));
    waiting_.pop_front();
  }
  return fetched;
}

void FakeJobSource::Interrupt() {
  const std::lock_guard lock(mutex_);
  interrupted_ = true;
  changed_.notify_all();
}

std::vector<Received> FakeJobSource::Withdraw(std::chrono::milliseconds) {
  const std::lock_guard lock(mutex_);
  Record("withdraw");
  return std::move(in_flight_);
}

bool FakeJobSource::Connected() const {
  const std::lock_guard lock(mutex_);
  return connected_;
}

std::chrono::milliseconds FakeJobSource::LeaseTime() const {
  const std::lock_guard lock(mutex_);
  return lease_time_;
}

Result<void> FakeJobSource::ExtendLease(const std::string& lease) {
  const std::lock_guard lock(mutex_);
  return Told("extend", lease, "", {});
}

Result<void> FakeJobSource::Acknowledge(const std::string& lease) {
  const std::lock_guard lock(mutex_);
  const Result<void> told = Told("ack", lease, "", acknowledge_result_);
  if (told) held_.erase(std::stoull(lease));
  return told;
}

void FakeJobSource::AcknowledgeAsync(const std::string& lease,
                                     std::function<void(Result<void>)> handler) {
  handler(Acknowledge(lease));
}

void FakeJobSource::AcknowledgeSoon(const std::string& lease) {
  static_cast<void>(Acknowledge(lease));
}

Result<void> FakeJobSource::GiveBack(const std::string& lease, std::chrono::milliseconds delay) {
  const std::lock_guard lock(mutex_);
  return Told("back", lease, " after " + FormatDuration(delay), {});
}

Result<void> FakeJobSource::PutDead(const JobMessage& message, const DeadLetter& letter) {
  const std::lock_guard lock(mutex_);
  const Result<void> told =
      Told("dead", std::to_string(message.sequence), " " + letter.reason, put_dead_result_);
  if (told) dead_.emplace_back(message, letter);
  return told;
}

Result<void> FakeJobSource::PutMoved(const JobMessage& message, const std::string& lane) {
  const std::lock_guard lock(mutex_);
  return Told("move", std::to_string(message.sequence), " " + lane, put_moved_result_);
}

Result<bool> FakeJobSource::Holds(std::uint64_t sequence) {
  const std::lock_guard lock(mutex_);
  return held_.contains(sequence);
}

void FakeJobSource::SetHolder(std::string instance) {
  SetHolder([holder = std::move(instance)](const std::string& asked, const std::string&) {
    return !holder.empty() && holder == asked;
  });
}

void FakeJobSource::SetHolder(
    std::function<bool(const std::string& instance, const std::string& id)> holds) {
  const std::lock_guard lock(mutex_);
  holds_ = std::move(holds);
}

bool FakeJobSource::HeldBy(const std::string&, const std::string& instance, const std::string& id) {
  std::unique_lock lock(mutex_);
  const auto holds = holds_;
  lock.unlock();
  return holds && holds(instance, id);
}

Result<void> FakeJobSource::Remove(const std::string& lease, const std::string& reason) {
  const std::lock_guard lock(mutex_);
  held_.erase(std::stoull(lease));
  return Told("remove", lease, " " + reason, {});
}

void FakeJobSource::Record(std::string event) {
  events_.push_back(std::move(event));
  changed_.notify_all();
}

Result<void> FakeJobSource::Told(const std::string& verb, const std::string& lease,
                                 const std::string& more, const Result<void>& result) {
  if (!connected_) return Fail(ErrorKind::kRetryable, "not connected");
  Record((result ? "" : "refused ") + verb + " " + lease + more);
  return result;
}

}  // namespace lanekeeper::runner
