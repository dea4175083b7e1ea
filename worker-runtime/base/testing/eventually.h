// Waiting for what another thread does. For tests, also those of other rooms.
#pragma once

#include <chrono>
#include <functional>
#include <thread>

namespace lanekeeper {

// Whether `holds` came true within 60 s.
inline bool Eventually(const std::function<bool()>& holds) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!holds()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return true;
}

}  // namespace lanekeeper
