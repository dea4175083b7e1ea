#include "worker-runtime/nats/pending_requests.h"

#include <charconv>
#include <utility>
#include <vector>

namespace lanekeeper::nats {
namespace {

// 0, which is no token, for anything that is no number.
std::uint64_t NumberOf(std::string_view token) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(token.data(), token.data() + token.size(), number);
  return error == std::errc() && end == token.data() + token.size() ? number : 0;
}

}  // namespace

std::string PendingRequests::Add(std::shared_ptr<Pending> pending) {
  const std::lock_guard lock(mutex_);
  pending_.emplace(++last_, std::move(pending));
  return std::to_string(last_);
}

std::string PendingRequests::Begin(std::string_view subject) {
  auto pending = std::make_shared<Pending>();
  pending->subject = subject;
  return Add(std::move(pending));
}

std::string PendingRequests::Begin(std::string_view subject, MonotonicTime deadline,
                                   AnswerHandler handler) {
  auto pending = std::make_shared<Pending>();
  pending->subject = subject;
  pending->deadline = deadline;
  pending->handler = std::move(handler);
  return Add(std::move(pending));
}

Result<Message> PendingRequests::Wait(const std::string& token, std::chrono::milliseconds timeout) {
  std::unique_lock lock(mutex_);
  const auto found = pending_.find(NumberOf(token));
  if (found == pending_.end()) return lanekeeper::Fail(ErrorKind::kRetryable, "no such request");
  const std::shared_ptr<Pending> pending = found->second;
  const bool answered =
      pending->done.wait_for(lock, timeout, [&] { return pending->result.has_value(); });
  pending_.erase(NumberOf(token));
  if (!answered) return lanekeeper::Fail(ErrorKind::kRetryable, "timeout");
  return *std::move(pending->result);
}

void PendingRequests::Forget(const std::string& token) {
  const std::lock_guard lock(mutex_);
  pending_.erase(NumberOf(token));
}

void PendingRequests::Refuse(const std::string& token, Error error) {
  std::unique_lock lock(mutex_);
  const auto found = pending_.find(NumberOf(token));
  if (found == pending_.end()) return;
  const std::shared_ptr<Pending> pending = std::move(found->second);
  pending_.erase(found);
  lock.unlock();
  pending->handler(tl::unexpected(std::move(error)));
}

void PendingRequests::Answer(std::string_view token, Message message) {
  std::unique_lock lock(mutex_);
  const auto found = pending_.find(NumberOf(token));
  if (found == pending_.end() || found->second->result) return;
  if (!found->second->handler) {
    found->second->result = std::move(message);
    found->second->done.notify_all();
    return;
  }
  const std::shared_ptr<Pending> pending = std::move(found->second);
  pending_.erase(found);
  lock.unlock();
  pending->handler(std::move(message));
}

void PendingRequests::RefuseSubject(std::string_view subject, const Error& error) {
  Fail([subject](const Pending& pending) { return pending.subject == subject; }, error);
}

void PendingRequests::FailAll(const Error& error) {
  Fail([](const Pending&) { return true; }, error);
}

void PendingRequests::Expire(MonotonicTime now) {
  Fail([now](const Pending& pending) { return pending.handler && now >= pending.deadline; },
       {ErrorKind::kRetryable, "timeout"});
}

void PendingRequests::Fail(const std::function<bool(const Pending&)>& meant, const Error& error) {
  std::vector<std::shared_ptr<Pending>> with_handler;
  {
    const std::lock_guard lock(mutex_);
    for (auto at = pending_.begin(); at != pending_.end();) {
      Pending& pending = *at->second;
      if (pending.result || !meant(pending)) {
        ++at;
      } else if (pending.handler) {
        with_handler.push_back(std::move(at->second));
        at = pending_.erase(at);
      } else {
        pending.result = tl::unexpected(error);
        pending.done.notify_all();
        ++at;
      }
    }
  }
  for (const auto& pending : with_handler) pending->handler(tl::unexpected(error));
}

}  // namespace lanekeeper::nats
