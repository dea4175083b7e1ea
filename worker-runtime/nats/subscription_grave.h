// Where subscriptions wait to be freed.
//
// libnats 3.4.1 looks a subscription up under one lock and uses it under another: freeing it from a
// third thread in between crashes its reader (nats.c issue 637, fixed in 3.6.0). So a subscription
// is unsubscribed at once, which takes it out of the look-up, and freed only after the reader has
// provably passed: when a flush that began afterwards has been answered, or the session is closed.
#pragma once

#include <nats/nats.h>

#include <mutex>
#include <utility>
#include <vector>

namespace lanekeeper::nats {

// Any thread.
class SubscriptionGrave {
 public:
  ~SubscriptionGrave() { Close(); }

  void Bury(natsSubscription* subscription) {
    natsSubscription_Unsubscribe(subscription);
    {
      const std::lock_guard lock(mutex_);
      if (!closed_) {
        waiting_.push_back(subscription);
        return;
      }
    }
    natsSubscription_Destroy(subscription);
  }

  // What has been buried so far. Free it after a flush, or put it back.
  std::vector<natsSubscription*> Take() {
    const std::lock_guard lock(mutex_);
    return std::exchange(waiting_, {});
  }
  void PutBack(const std::vector<natsSubscription*>& taken) {
    {
      const std::lock_guard lock(mutex_);
      if (!closed_) {
        waiting_.insert(waiting_.end(), taken.begin(), taken.end());
        return;
      }
    }
    Free(taken);
  }
  static void Free(const std::vector<natsSubscription*>& taken) {
    for (natsSubscription* subscription : taken) natsSubscription_Destroy(subscription);
  }
  // No reader runs any more.
  void Close() {
    std::vector<natsSubscription*> taken;
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
      taken = std::exchange(waiting_, {});
    }
    Free(taken);
  }

 private:
  std::mutex mutex_;
  bool closed_ = false;
  std::vector<natsSubscription*> waiting_;
};

}  // namespace lanekeeper::nats
