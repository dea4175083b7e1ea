#include "worker-runtime/gateway/job_desk_core.h"

#include "worker-runtime/nats/queue_setup.h"

namespace lanekeeper::gateway {
namespace {

constexpr std::size_t kTasksMax = 256;

}  // namespace

Problem NoSuchJob(std::string_view pool_namespace, std::string_view pool, std::string_view id) {
  return {.type = ProblemType::kJobNotFound,
          .detail = "pool " + std::string(pool_namespace) + "/" + std::string(pool) +
                    " knows no job \"" + std::string(id.substr(0, 64)) +
                    "\": it never came, or it has ended and is forgotten (see the lane's "
                    "jobs.tracking)"};
}

DeskCore::DeskCore(nats::Connection& connection_in, const PoolDirectory& pools_in,
                   JobDeskOptions options_in)
    : connection(connection_in),
      pools(pools_in),
      options(options_in),
      queue(connection_in, options_in.answer_timeout),
      jetstream(connection_in, options_in.answer_timeout),
      thread_([this](const std::stop_token& stop) { Run(stop); }) {}

DeskCore::~DeskCore() {
  thread_.request_stop();
  thread_.join();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return in_hand_ == 0; });
}

DeskCore::InHand DeskCore::Begin() {
  {
    const std::lock_guard lock(mutex_);
    ++in_hand_;
  }
  return {this, [this](const DeskCore*) {
            // Under the lock: the destructor may be waiting for it.
            const std::lock_guard lock(mutex_);
            --in_hand_;
            changed_.notify_all();
          }};
}

bool DeskCore::Later(Task task) {
  const std::lock_guard lock(mutex_);
  if (stopped_ || tasks_.size() >= kTasksMax) return false;
  tasks_.push_back(std::move(task));
  changed_.notify_all();
  return true;
}

Result<void> DeskCore::MakeRecordBucket() const {
  return nats::EnsureBucket(jetstream, kRecordBucket, {});
}

void DeskCore::Run(const std::stop_token& stop) {
  while (true) {
    Task task;
    {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, stop, [this] { return !tasks_.empty(); });
      stopped_ = stop.stop_requested();
      if (tasks_.empty()) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task(stop.stop_requested());
  }
}

}  // namespace lanekeeper::gateway
