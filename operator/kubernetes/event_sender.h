// Sends Events on a thread of its own. Best effort: a few tries each, and a bounded queue.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <thread>

#include "operator/kubernetes/api.h"
#include "operator/kubernetes/event_book.h"
#include "worker-runtime/base/backoff.h"

namespace lanekeeper::kubernetes {

class EventSender {
 public:
  static constexpr std::size_t kQueueMax = 256;
  static constexpr int kTriesMax = 3;

  static constexpr Backoff kRetryDelay{std::chrono::milliseconds(500), std::chrono::seconds(5)};

  // `api` and `clock` must outlive this.
  EventSender(Api& api, const Clock& clock, Backoff retry_delay = kRetryDelay)
      : api_(api), clock_(clock), retry_delay_(retry_delay) {}
  ~EventSender() { Stop(); }

  // By one thread. Stop waits for the thread and drops what is left.
  void Start();
  void Stop();

  // Any thread. Never waits for the network.
  void Post(EventSubject subject, PoolEvent event);

  // Not sent: the queue was full, the pool had used up its share, or the server would not have it.
  std::uint64_t dropped() const { return dropped_; }

 private:
  struct Posted {
    EventSubject subject;
    PoolEvent event;
  };
  void Run(const std::stop_token& stop);
  void Send(const Posted& posted, const std::stop_token& stop);
  Result<Answer> Try(const Request& request, const std::stop_token& stop);

  Api& api_;
  const Clock& clock_;
  const Backoff retry_delay_;
  EventBook book_;  // Of the thread.

  std::mutex mutex_;
  std::condition_variable_any posted_;
  std::deque<Posted> queue_;
  std::atomic<std::uint64_t> dropped_{0};
  std::jthread thread_;
};

}  // namespace lanekeeper::kubernetes
