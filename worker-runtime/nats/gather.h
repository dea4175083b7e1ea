// Lets messages come together when there are many, so that a thread wakes once for several of them.
//
// A thread that empties its queue faster than messages come wakes once for each, and a wake-up
// costs more than most messages. Nothing happens, and nothing is late, below some ten thousand
// messages a second.
#pragma once

#include <chrono>
#include <thread>

#include "worker-runtime/base/time.h"

namespace lanekeeper::nats {

// Of one thread.
class Gather {
 public:
  // For every message, before it is handled. May nap for a moment.
  void Came() {
    ++came_;
    const MonotonicTime now = std::chrono::steady_clock::now();
    if (now - since_ < kWindow) return;
    const bool many = came_ >= kMany && now - since_ < 2 * kWindow;
    came_ = 0;
    if (many) std::this_thread::sleep_for(kNap);
    since_ = many ? std::chrono::steady_clock::now() : now;
  }

 private:
  static constexpr std::chrono::microseconds kWindow{300};
  static constexpr std::chrono::microseconds kNap{150};
  static constexpr int kMany = 4;  // In a window.

  int came_ = 0;
  MonotonicTime since_{};
};

}  // namespace lanekeeper::nats
