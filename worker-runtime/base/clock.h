// The time, as a thing that can be handed in: production reads the system's clocks, tests move
// their own. Pure rooms take time points (time.h) as arguments and never see this.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

#include "worker-runtime/base/time.h"

namespace lanekeeper {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual MonotonicTime Now() const = 0;
  virtual WallTime WallNow() const = 0;
};

// Any thread.
class SystemClock final : public Clock {
 public:
  MonotonicTime Now() const override { return std::chrono::steady_clock::now(); }
  WallTime WallNow() const override { return std::chrono::system_clock::now(); }
};

// Stands still until told to move. Any thread.
class FakeClock final : public Clock {
 public:
  MonotonicTime Now() const override {
    return MonotonicTime(std::chrono::nanoseconds(nanoseconds_.load()));
  }
  WallTime WallNow() const override {
    // 2026-01-01T00:00:00Z, so that printed times are stable.
    return WallTime(std::chrono::seconds(1767225600)) +
           std::chrono::duration_cast<WallTime::duration>(
               std::chrono::nanoseconds(nanoseconds_.load()));
  }
  void Advance(std::chrono::nanoseconds by) { nanoseconds_ += by.count(); }

 private:
  std::atomic<std::int64_t> nanoseconds_{1'000'000'000};
};

}  // namespace lanekeeper
