// Whether a process that a test knows by its number has ended.
#pragma once

#include <fstream>
#include <string>

#include "worker-runtime/base/testing/eventually.h"

namespace lanekeeper::handlers {

// Gone, or a zombie: of ours, or of an init which may never come (in a container without one).
inline bool HasEnded(const std::string& pid) {
  std::ifstream file("/proc/" + pid + "/stat");
  std::string number, name, state;
  return !(file >> number >> name >> state) || state == "Z" || state == "X";
}

inline bool WaitEnded(const std::string& pid) {
  return Eventually([&pid] { return HasEnded(pid); });
}

}  // namespace lanekeeper::handlers
