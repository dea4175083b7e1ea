// How many jobs of each caller wait in a lane. No I/O; one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "worker-runtime/gateway/submission.h"

namespace lanekeeper::gateway {

// Counts what it was told: jobs that are being published, and those stored behind the last
// delivered one. At most `jobs_max` of the latter; further ones are not counted.
class CallerCounts {
 public:
  explicit CallerCounts(std::size_t jobs_max = 1'000'000) : jobs_max_(jobs_max) {}

  std::int64_t Waiting(std::string_view caller) const;

  // Each Begin has one End: with the job's sequence, or 0 when it was not stored.
  void Begin(const Caller& caller);
  void End(const Caller& caller, std::uint64_t sequence);
  // A job that was there before; once is enough, more often is no harm.
  void Found(const Caller& caller, std::uint64_t sequence);
  // The queue has handed out everything up to `sequence`, and holds nothing behind `last`.
  void Delivered(std::uint64_t sequence, std::uint64_t last);

 private:
  struct Count {
    std::int64_t publishing = 0;
    std::int64_t stored = 0;
  };
  using Counts = std::map<Caller, Count, std::less<>>;

  void ForgetIfNone(Counts::iterator caller);

  const std::size_t jobs_max_;
  std::uint64_t delivered_ = 0;
  Counts counts_;
  std::map<std::uint64_t, Counts::iterator> jobs_;  // By sequence.
};

}  // namespace lanekeeper::gateway
