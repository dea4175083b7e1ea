// AwaitEnd of http_api.h: "Prefer: wait=N".
#include <memory>
#include <mutex>
#include <utility>

#include "worker-runtime/gateway/http_api.h"

namespace lanekeeper::gateway {
namespace {

// Kept alive by its alarm, and by whoever is calling it.
class Wait : public std::enable_shared_from_this<Wait> {
 public:
  Wait(HttpParts& parts, JobView job, std::function<void(const JobView&)> done)
      : parts_(parts), job_(std::move(job)), done_(std::move(done)) {}

  void Start(const ExchangePtr& exchange, std::chrono::seconds wait) {
    const std::weak_ptr<Wait> weak = weak_from_this();
    const auto finish = [weak] {
      if (const auto self = weak.lock()) self->Finish();
    };
    {
      const std::lock_guard lock(mutex_);
      alarm_ = parts_.alarms.In(wait, [self = shared_from_this()] { self->Finish(); });
    }
    const HttpLive::Id live = parts_.live.Add(finish);
    // The answer goes nowhere then, but nothing watches the job any more.
    exchange->OnGone(finish);
    const JobView job = job_;  // Nobody else has it before there is a watch.
    Answer<std::unique_ptr<JobWatch>> watch =
        parts_.desk.Watch(job, job.revision, [weak](const JobView& now) {
          if (const auto self = weak.lock()) self->Changed(now);
        });
    // It cannot be held: the job is answered as it is now.
    if (!watch) Finish();
    std::unique_lock lock(mutex_);
    if (!over_) {
      live_ = live;
      watch_ = *std::move(watch);
      return;
    }
    lock.unlock();
    parts_.live.Remove(live);
    if (watch) Drop(*std::move(watch));
  }

 private:
  void Changed(const JobView& job) {
    {
      const std::lock_guard lock(mutex_);
      job_ = job;
    }
    if (Over(job)) Finish();
  }

  void Finish() {
    std::unique_lock lock(mutex_);
    if (std::exchange(over_, true)) return;
    std::shared_ptr<JobWatch> watch = std::move(watch_);
    const auto done = std::exchange(done_, nullptr);
    const JobView job = job_;
    const Alarms::Id alarm = alarm_;
    const HttpLive::Id live = live_;
    lock.unlock();
    if (watch) Drop(std::move(watch));
    parts_.alarms.Cancel(alarm);
    parts_.live.Remove(live);
    done(job);
  }

  // A watch must not end inside its own call.
  void Drop(std::shared_ptr<JobWatch> watch) {
    parts_.alarms.Soon([watch = std::move(watch)]() mutable { watch.reset(); });
  }

  HttpParts& parts_;
  std::mutex mutex_;
  JobView job_;
  std::function<void(const JobView&)> done_;
  std::shared_ptr<JobWatch> watch_;
  bool over_ = false;
  Alarms::Id alarm_ = 0;
  HttpLive::Id live_ = 0;
};

}  // namespace

void AwaitEnd(HttpParts& parts, const ExchangePtr& exchange, const JobView& job,
              std::chrono::seconds wait, std::function<void(const JobView&)> done) {
  if (wait.count() == 0 || Over(job)) return done(job);
  std::make_shared<Wait>(parts, job, std::move(done))->Start(exchange, wait);
}

}  // namespace lanekeeper::gateway
