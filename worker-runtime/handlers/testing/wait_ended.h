// Whether a process that a test knows by its number has ended.
#pragma once

#include <chrono>
#include <fstream>
#include <string>
#include <thread>

namespace lanekeeper::handlers {

// Gone, or a zombie: of ours, or of an init which may never come (in a container without one).
inline bool HasEnded(const std::string& pid) {
  std::ifstream file("/proc/" + pid + "/stat");
  std::string number, name, state;
  return !(file >> number >> name >> state) || state == "Z" || state == "X";
}

inline bool WaitEnded(const std::string& pid) {
  for (int tries = 0; tries < 1500; ++tries) {
    if (HasEnded(pid)) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return false;
}

}  // namespace lanekeeper::handlers
