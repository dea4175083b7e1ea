#include "operator/kubernetes/event_sender.h"

#include <utility>

#include "worker-runtime/base/log.h"

namespace lanekeeper::kubernetes {

void EventSender::Start() {
  if (thread_.joinable()) return;
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

void EventSender::Stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

void EventSender::Post(EventSubject subject, PoolEvent event) {
  const std::lock_guard lock(mutex_);
  if (queue_.size() >= kQueueMax) {
    ++dropped_;
    return;
  }
  queue_.push_back({std::move(subject), std::move(event)});
  posted_.notify_one();
}

void EventSender::Run(const std::stop_token& stop) {
  while (true) {
    Posted next;
    {
      std::unique_lock lock(mutex_);
      if (!posted_.wait(lock, stop, [this] { return !queue_.empty(); })) return;
      if (stop.stop_requested()) return;
      next = std::move(queue_.front());
      queue_.pop_front();
    }
    Send(next, stop);
  }
}

void EventSender::Send(const Posted& posted, const std::stop_token& stop) {
  const auto plan = [&] {
    return book_.Plan(posted.subject, posted.event, {clock_.Now(), clock_.WallNow()});
  };
  std::optional<Request> request = plan();
  if (!request) {
    ++dropped_;
    return;
  }
  Result<Answer> answer = Try(*request, stop);
  const bool counted = request->method == "PATCH";
  if (!answer && counted && answer.error().kind == ErrorKind::kNotFound) {
    book_.Forget(posted.subject, posted.event);
    request = plan();
    if (request) answer = Try(*request, stop);
  }
  if (answer || stop.stop_requested()) return;
  ++dropped_;
  log::Debug("kubernetes", "event not sent",
             {{"pool", ToString(posted.subject.pool)},
              {"reason", posted.event.reason},
              {"error", answer.error().message}});
}

Result<Answer> EventSender::Try(const Request& request, const std::stop_token& stop) {
  for (int tries = 1;; ++tries) {
    Result<Answer> answer = api_.Call(request, {.stop = stop});
    if (answer || answer.error().kind != ErrorKind::kRetryable || tries == kTriesMax ||
        stop.stop_requested()) {
      return answer;
    }
    std::unique_lock lock(mutex_);
    posted_.wait_for(lock, stop, retry_delay_.After(tries), [] { return false; });
  }
}

}  // namespace lanekeeper::kubernetes
