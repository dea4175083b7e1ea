// A job as a handler sees it. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lanekeeper {

// In the order they were written; a name may occur twice. The same type as nats::Headers.
using Headers = std::vector<std::pair<std::string, std::string>>;

// The first value of a header, names compared without case; nothing when it is absent.
std::optional<std::string_view> FindHeader(const Headers& headers, std::string_view name);

// A message of a lane as the queue delivered it.
struct JobMessage {
  std::string stream;
  std::uint64_t sequence = 0;  // In the stream.
  int delivery = 1;            // Counts from 1: how often the queue has handed it out.
  std::chrono::system_clock::time_point stored_at{};
  std::string payload;
  Headers headers;
};

// What the headers of the queue contract say; made by DecodeJob.
struct JobHead {
  std::string id;    // Nats-Msg-Id, or "<stream>.<sequence>" of a message without one.
  std::string type;  // Lk-Type; empty when the message has none.
  std::optional<std::chrono::system_clock::time_point> deadline;  // Lk-Deadline.
  std::string traceparent;                                        // Empty unless it is well-formed.
  bool operator==(const JobHead&) const = default;
};

// Given to a handler by reference for the time of one run; one thread at a time.
class Job {
 public:
  // `stop_requested` may be empty (never) and is called on the handler's thread.
  Job(JobMessage message, JobHead head, int attempts_max = 1,
      std::function<bool()> stop_requested = {});

  const std::string& id() const { return head_.id; }
  const std::string& type() const { return head_.type; }
  const std::string& payload() const { return message_.payload; }
  const Headers& headers() const { return message_.headers; }
  std::optional<std::string_view> Header(std::string_view name) const {
    return FindHeader(message_.headers, name);
  }
  // 1 on the first run. A run that ended with its worker, or was interrupted, counts too.
  int delivery() const { return message_.delivery; }
  int attempts_max() const { return attempts_max_; }
  const std::optional<std::chrono::system_clock::time_point>& deadline() const {
    return head_.deadline;
  }
  const std::string& traceparent() const { return head_.traceparent; }
  const JobMessage& message() const { return message_; }

  // True from the moment the job should end: its timeout is over, or the worker has to go. Return
  // Interrupted soon then; what runs on for long is treated like a worker that died.
  bool StopRequested() const { return stop_requested_ && stop_requested_(); }

 private:
  JobMessage message_;
  JobHead head_;
  int attempts_max_;
  std::function<bool()> stop_requested_;
};

}  // namespace lanekeeper
