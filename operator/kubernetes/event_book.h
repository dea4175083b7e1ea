// Which Events are worth a request. Pure: the time is an argument. Not thread-safe.
//
// The same event again within kSameEventWindow raises the count of the object that is there; a pool
// that has too much to say is cut short, and what was left unsaid is in the next count.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "operator/control/pool_status.h"
#include "operator/control/worker_pool.h"
#include "operator/kubernetes/requests.h"
#include "worker-runtime/base/clock.h"

namespace lanekeeper::kubernetes {

// Whom an event is about.
struct EventSubject {
  PoolKey pool;
  std::string uid;
  auto operator<=>(const EventSubject&) const = default;
};

class EventBook {
 public:
  static constexpr std::chrono::minutes kSameEventWindow{10};
  static constexpr std::size_t kEventsMax = 1000;  // Remembered.
  static constexpr std::size_t kMessageBytesMax = 1024;
  static constexpr int kBurst = 25;                  // Requests per pool at once, and one more
  static constexpr std::chrono::seconds kRefill{5};  // every so often.

  struct Times {
    MonotonicTime now;
    WallTime wall;
  };

  // The request that tells of `event`; nothing when the pool has used up its share.
  std::optional<Request> Plan(const EventSubject& subject, const PoolEvent& event, Times times);

  // The object whose count was to be raised is gone (Events live an hour): the next Plan of this
  // event creates one.
  void Forget(const EventSubject& subject, const PoolEvent& event);

 private:
  struct Key {
    EventSubject subject;
    bool warning = false;
    std::string reason;
    std::string message;
    auto operator<=>(const Key&) const = default;
  };
  struct Entry {
    std::string name;  // Of the Event object; empty: not sent yet.
    std::int64_t count = 0;
    WallTime first{};
    MonotonicTime last{};
  };
  struct Share {
    double requests = kBurst;
    MonotonicTime at{};
  };

  static Key KeyOf(const EventSubject& subject, const PoolEvent& event);
  bool TakeShare(const EventSubject& subject, MonotonicTime now);
  void MakeRoom(MonotonicTime now);
  std::string NewName(const EventSubject& subject, WallTime wall);

  std::map<Key, Entry> entries_;
  std::map<EventSubject, Share> shares_;
  std::int64_t last_name_ns_ = 0;
};

}  // namespace lanekeeper::kubernetes
