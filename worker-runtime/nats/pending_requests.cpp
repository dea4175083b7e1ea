#include "worker-runtime/nats/pending_requests.h"

namespace lanekeeper::nats {

std::string PendingRequests::Begin(std::string_view subject) {
  auto pending = std::make_shared<Pending>();
  pending->subject = subject;
  const std::lock_guard lock(mutex_);
  std::string token = std::to_string(++last_);
  pending_.emplace(token, std::move(pending));
  return token;
}

Result<Message> PendingRequests::Wait(const std::string& token, std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  const auto found = pending_.find(token);
  if (found == pending_.end()) return Fail(ErrorKind::kRetryable, "no such request");
  const std::shared_ptr<Pending> pending = found->second;
  const bool answered =
      pending->done.wait_for(lock, timeout, [&] { return pending->result.has_value(); });
  pending_.erase(token);
  if (!answered) return Fail(ErrorKind::kRetryable, "timeout");
  return *std::move(pending->result);
}

void PendingRequests::Forget(const std::string& token) {
  const std::lock_guard lock(mutex_);
  pending_.erase(token);
}

void PendingRequests::Answer(std::string_view token, Message message) {
  const std::lock_guard lock(mutex_);
  const auto found = pending_.find(std::string(token));
  if (found == pending_.end() || found->second->result) return;
  found->second->result = std::move(message);
  found->second->done.notify_all();
}

void PendingRequests::Refuse(std::string_view subject, const Error& error) {
  const std::lock_guard lock(mutex_);
  for (auto& [token, pending] : pending_) {
    if (pending->subject != subject || pending->result) continue;
    pending->result = tl::unexpected(error);
    pending->done.notify_all();
  }
}

void PendingRequests::FailAll(const Error& error) {
  const std::lock_guard lock(mutex_);
  for (auto& [token, pending] : pending_) {
    if (pending->result) continue;
    pending->result = tl::unexpected(error);
    pending->done.notify_all();
  }
}

}  // namespace lanekeeper::nats
