// The requests of one connection that wait for their answer, by token. No I/O.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "worker-runtime/base/result.h"
#include "worker-runtime/nats/connection.h"

namespace lanekeeper::nats {

// Any thread.
class PendingRequests {
 public:
  // The last token of the subject to be answered on. Begin before the request is written.
  std::string Begin(std::string_view subject);
  // Waits for the answer or failure of `token` and forgets it.
  Result<Message> Wait(const std::string& token, std::chrono::milliseconds timeout);
  void Forget(const std::string& token);

  // Unknown tokens (late answers) are ignored.
  void Answer(std::string_view token, Message message);
  // Fails every request whose subject this is.
  void Refuse(std::string_view subject, const Error& error);
  void FailAll(const Error& error);

 private:
  struct Pending {
    std::string subject;
    std::optional<Result<Message>> result;
    std::condition_variable done;
  };

  std::mutex mutex_;
  std::uint64_t last_ = 0;
  std::unordered_map<std::string, std::shared_ptr<Pending>> pending_;
};

}  // namespace lanekeeper::nats
