// When a write of ours outranks what a watch tells: the rule of every cache of this room.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include "worker-runtime/base/time.h"

namespace lanekeeper::kubernetes {

// Longer than any watch lags; after it, whatever the server says goes, even if its numbers have
// begun anew.
inline constexpr std::chrono::seconds kOwnWriteHold{30};

// `written_at`: when we wrote `written`, if the watch has not told of it yet.
inline bool OwnWriteOutranks(std::optional<MonotonicTime> written_at, std::uint64_t written,
                             std::uint64_t watched, MonotonicTime now) {
  return written_at && now - *written_at < kOwnWriteHold && watched < written;
}

}  // namespace lanekeeper::kubernetes
