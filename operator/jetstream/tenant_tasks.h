// Calls that may wait for a tenant's server, made for a thread that may not. Private to this room.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>

#include "worker-runtime/base/result.h"

namespace lanekeeper {

// One call after another, on a thread that is there only while there are any. Any thread.
class TenantTasks {
 public:
  // How long Do waits for a call when nothing else is under way, and how old a word may get.
  static constexpr std::chrono::milliseconds kPatience{250};
  static constexpr std::chrono::milliseconds kFresh{1000};
  static constexpr std::size_t kWaitingMax = 1000;

  TenantTasks() = default;
  ~TenantTasks();  // Waits for the call under way, and makes no other.
  TenantTasks(const TenantTasks&) = delete;
  TenantTasks& operator=(const TenantTasks&) = delete;

  // What `call` returned, if it has by now; else kRetryable, and the next Do of this name has it.
  Result<void> Do(const std::string& name, std::function<Result<void>()> call);
  // Made if it is its turn within kFresh; else dropped, like a word said to a lost connection.
  void Say(std::function<void()> call);
  bool idle() const;

 private:
  struct Task {
    std::string name;  // Empty: nobody asks for its result.
    std::function<Result<void>()> call;
    std::chrono::steady_clock::time_point since;
  };

  void Add(Task task);
  void Run();

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Task> waiting_;
  std::map<std::string, bool> open_;              // Waiting or under way, by name.
  std::map<std::string, Result<void>> finished_;  // Until asked for.
  bool running_ = false;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace lanekeeper
