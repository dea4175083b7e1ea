// Settings from the environment, read once in main. Every problem is collected, so that a person
// fixes all of them in one go; each names the variable, what it holds and what it should hold.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "worker-runtime/base/result.h"

namespace lanekeeper {

class Settings {
 public:
  using Lookup = std::function<std::optional<std::string>(const std::string& name)>;

  // Reads the process environment.
  Settings();
  // Reads from `lookup`: for tests.
  explicit Settings(Lookup lookup);

  std::string Text(const std::string& name, const std::string& fallback);
  // A missing or empty variable is a problem.
  std::string RequiredText(const std::string& name);
  std::int64_t Integer(const std::string& name, std::int64_t fallback, std::int64_t min,
                       std::int64_t max);
  std::chrono::milliseconds Duration(const std::string& name, std::chrono::milliseconds fallback,
                                     std::chrono::milliseconds min, std::chrono::milliseconds max);
  // true/false, 1/0, yes/no.
  bool Flag(const std::string& name, bool fallback);

  // kInvalid with every problem found so far, one a clause, or nothing.
  Result<void> Check() const;

 private:
  Lookup lookup_;
  std::vector<std::string> problems_;
};

}  // namespace lanekeeper
