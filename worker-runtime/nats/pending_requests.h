// The requests of one connection that wait for their answer, by token. No I/O.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "worker-runtime/base/clock.h"
#include "worker-runtime/base/result.h"
#include "worker-runtime/nats/connection.h"

namespace lanekeeper::nats {

// Any thread. Handlers run without a lock, on the thread that calls Answer, Refuse, FailAll or
// Expire.
class PendingRequests {
 public:
  // The last token of the subject to be answered on. Begin before the request is written.
  std::string Begin(std::string_view subject);
  // `handler` is called exactly once.
  std::string Begin(std::string_view subject, MonotonicTime deadline, AnswerHandler handler);
  // Waits for the answer or failure of `token`, begun without a handler, and forgets it.
  Result<Message> Wait(const std::string& token, std::chrono::milliseconds timeout);
  void Forget(const std::string& token);
  // Fails one that has a handler; nothing when it was answered meanwhile.
  void Refuse(const std::string& token, Error error);
  // Fails what has a handler and a deadline before `now`.
  void Expire(MonotonicTime now);

  // Unknown tokens (late answers) are ignored.
  void Answer(std::string_view token, Message message);
  // Fails every request whose subject this is.
  void RefuseSubject(std::string_view subject, const Error& error);
  void FailAll(const Error& error);

 private:
  struct Pending {
    std::string subject;
    AnswerHandler handler;  // Empty: somebody is in Wait.
    MonotonicTime deadline{};
    std::optional<Result<Message>> result;
    std::condition_variable done;
  };

  std::string Add(std::shared_ptr<Pending> pending);
  // Fails all that `meant` holds for.
  void Fail(const std::function<bool(const Pending&)>& meant, const Error& error);

  std::mutex mutex_;
  std::uint64_t last_ = 0;
  std::unordered_map<std::uint64_t, std::shared_ptr<Pending>> pending_;  // By token.
};

}  // namespace lanekeeper::nats
