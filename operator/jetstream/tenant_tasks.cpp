#include "operator/jetstream/tenant_tasks.h"

#include <optional>
#include <utility>

namespace lanekeeper {

using std::chrono::steady_clock;

TenantTasks::~TenantTasks() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
    waiting_.clear();
  }
  if (thread_.joinable()) thread_.join();
}

bool TenantTasks::idle() const {
  const std::lock_guard lock(mutex_);
  return !running_;
}

Result<void> TenantTasks::Do(const std::string& name, std::function<Result<void>()> call) {
  const auto not_yet = [] {
    return Fail(ErrorKind::kRetryable, "the pool's NATS server has not answered yet");
  };
  const auto take = [this, &name]() -> std::optional<Result<void>> {
    const auto found = finished_.find(name);
    if (found == finished_.end()) return std::nullopt;
    Result<void> result = std::move(found->second);
    finished_.erase(found);
    return result;
  };
  std::unique_lock lock(mutex_);
  if (auto result = take()) return *std::move(result);
  if (open_.contains(name) || waiting_.size() >= kWaitingMax) return not_yet();
  const bool was_idle = !running_;
  Add({name, std::move(call), steady_clock::now()});
  if (!was_idle) return not_yet();
  changed_.wait_for(lock, kPatience, [&] { return finished_.contains(name); });
  if (auto result = take()) return *std::move(result);
  return not_yet();
}

void TenantTasks::Say(std::function<void()> call) {
  const std::lock_guard lock(mutex_);
  if (waiting_.size() >= kWaitingMax) return;
  Add({"",
       [call = std::move(call)]() -> Result<void> {
         call();
         return {};
       },
       steady_clock::now()});
}

// Precondition: mutex_ is held.
void TenantTasks::Add(Task task) {
  if (ending_) return;
  if (!task.name.empty()) open_[task.name] = true;
  waiting_.push_back(std::move(task));
  if (std::exchange(running_, true)) return;
  if (thread_.joinable()) thread_.join();  // It has seen that nothing waits, and returns.
  thread_ = std::thread([this] { Run(); });
}

void TenantTasks::Run() {
  std::unique_lock lock(mutex_);
  while (!waiting_.empty()) {
    Task task = std::move(waiting_.front());
    waiting_.pop_front();
    if (task.name.empty() && steady_clock::now() - task.since > kFresh) continue;
    lock.unlock();
    Result<void> result = task.call();
    task.call = nullptr;  // What it holds on to is let go without the lock.
    lock.lock();
    if (task.name.empty()) continue;
    open_.erase(task.name);
    // Those nobody asked for any more.
    if (finished_.size() >= kWaitingMax) finished_.clear();
    finished_.insert_or_assign(task.name, std::move(result));
    changed_.notify_all();
  }
  running_ = false;
}

}  // namespace lanekeeper
