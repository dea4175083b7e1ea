// The pace of the threads that write the ledger and the pool board.
#pragma once

#include <chrono>

namespace lanekeeper {

// So late such a thread notices that the connection is there.
inline constexpr std::chrono::milliseconds kConnectionPoll{100};
// Waits after failures in a row grow up to this many times the first.
inline constexpr int kRetryWaitGrowthMax = 30;

}  // namespace lanekeeper
