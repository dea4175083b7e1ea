#include "operator/local/local_platform.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdint>
#include <optional>
#include <string_view>

#include "worker-runtime/base/log.h"

namespace lanekeeper {
namespace {

using std::chrono::milliseconds;

// How often readiness and the end of children that keep their output open are looked at.
constexpr milliseconds kLook{100};
constexpr milliseconds kLookAtRest{1000};
// Of one worker's output, before the others have their turn.
constexpr int kReadsMax = 8;

PoolKey PoolOf(const LaneKey& key) { return {key.pool_namespace, key.pool}; }

std::string PathWith(const std::string& folder) {
  return folder.empty() ? handlers::OwnPath() : folder + ":" + handlers::OwnPath();
}

}  // namespace

LocalPlatform::LocalPlatform(const Clock& clock, LocalPlatformOptions options)
    : clock_(clock),
      options_(std::move(options)),
      path_(PathWith(options_.programs_folder)),
      inherited_(handlers::OwnEnvironment()),
      wake_up_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)),
      random_(std::random_device{}()),
      statuses_(options_.status_folder) {}

LocalPlatform::~LocalPlatform() { Stop(); }

void LocalPlatform::Start(std::function<void(const PoolKey&)> on_change) {
  on_change_ = std::move(on_change);
  thread_ = std::thread([this] { Run(); });
}

void LocalPlatform::Stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  WakeUp();
  thread_.join();
}

void LocalPlatform::EndAll() {
  const std::lock_guard lock(mutex_);
  ending_ = true;
  for (auto& [key, tenant] : lanes_) tenant.lane.Remove(clock_.Now());
  WakeUp();
}

void LocalPlatform::KillAll() {
  const std::lock_guard lock(mutex_);
  killing_ = true;
  WakeUp();
}

int LocalPlatform::Alive() const {
  const std::lock_guard lock(mutex_);
  return alive_;
}

void LocalPlatform::WakeUp() const {
  const std::uint64_t one = 1;
  // Full is as good as written.
  [[maybe_unused]] const ssize_t written = write(wake_up_.get(), &one, sizeof one);
}

std::string LocalPlatform::NewName(const LaneKey& key) {
  constexpr std::string_view kLetters = "bcdfghjklmnpqrstvwxz2456789";
  const auto lane = lanes_.find(key);
  const Crew crew = lane == lanes_.end() ? Crew{} : lane->second.lane.Workers();
  while (true) {
    std::string name = key.pool + "-" + key.lane + "-";
    for (int n = 0; n < 5; ++n) name += kLetters[random_() % kLetters.size()];
    if (FindWorker(crew.placed, name) == nullptr && FindWorker(crew.ending, name) == nullptr) {
      return name;
    }
  }
}

std::string LocalPlatform::LogPathOf(const std::string& worker) const {
  return options_.logs_folder + "/" + worker + ".log";
}

Result<LocalLane*> LocalPlatform::FindLane(const LaneKey& key) {
  const auto found = lanes_.find(key);
  if (found == lanes_.end()) return Fail(ErrorKind::kNotFound, "no workload " + ToString(key));
  if (found->second.lane.removed()) {
    return Fail(ErrorKind::kRetryable, "the workers of " + ToString(key) +
                                           " were told to end; the last of them has not yet");
  }
  return &found->second.lane;
}

// A change by a call is no news.
Result<WorkloadState> LocalPlatform::StateAfterCall(const LaneKey& key) {
  Tenant& tenant = lanes_.at(key);
  tenant.announced = {tenant.lane.State(), tenant.lane.Workers()};
  WakeUp();
  return tenant.announced.state;
}

Result<WorkloadState> LocalPlatform::Observe(const LaneKey& key) {
  const std::vector<ReportedWorker> reported = options_.reported(key);
  const std::lock_guard lock(mutex_);
  Result<LocalLane*> lane = FindLane(key);
  if (!lane) return tl::unexpected<Error>(std::move(lane).error());
  (*lane)->See(reported, clock_.Now());
  return (*lane)->State();
}

Result<WorkloadState> LocalPlatform::Apply(const WorkerPool& pool, const Lane& lane, int replicas) {
  const LaneKey key = pool.KeyOf(lane);
  Result<WorkerCommand> command = ReadWorkerCommand(pool, lane, options_.nats_url);
  if (!command) return tl::unexpected<Error>(std::move(command).error());
  // Found out now, while the old workers still run.
  if (const auto startable = CommandFor(*command, "", inherited_, path_); !startable) {
    return Wrap(startable.error(), "lane " + lane.name);
  }
  for (const std::string& sentence : command->left_out) {
    if (said_.insert({pool.key, sentence}).second && options_.on_left_out) {
      options_.on_left_out(pool.key, sentence);
    }
  }
  const std::lock_guard lock(mutex_);
  if (ending_) return Fail(ErrorKind::kRetryable, "all workers were told to end");
  if (lanes_.contains(key)) {
    if (Result<LocalLane*> there = FindLane(key); !there) {
      return tl::unexpected<Error>(std::move(there).error());
    }
  }
  Tenant& tenant =
      lanes_.try_emplace(key, Tenant{LocalLane([this, key] { return NewName(key); }), {}})
          .first->second;
  tenant.lane.Apply({.lane_hash = LaneHash(lane),
                     .old_first = lane.lane_class == LaneClass::kGpu,
                     .command = *std::move(command)},
                    replicas, clock_.Now());
  return StateAfterCall(key);
}

Result<WorkloadState> LocalPlatform::SetReplicas(const LaneKey& key, int replicas) {
  const std::lock_guard lock(mutex_);
  Result<LocalLane*> lane = FindLane(key);
  if (!lane) return tl::unexpected<Error>(std::move(lane).error());
  (*lane)->SetReplicas(replicas, clock_.Now());
  return StateAfterCall(key);
}

Result<Crew> LocalPlatform::Workers(const LaneKey& key) {
  const std::vector<ReportedWorker> reported = options_.reported(key);
  const std::lock_guard lock(mutex_);
  const auto found = lanes_.find(key);
  if (found == lanes_.end()) return Crew{};
  found->second.lane.See(reported, clock_.Now());
  return found->second.lane.Workers();
}

Result<void> LocalPlatform::Mark(const LaneKey& key, const std::string& worker,
                                 const WorkerMarks& marks) {
  const std::lock_guard lock(mutex_);
  const auto found = lanes_.find(key);
  if (found == lanes_.end() || !found->second.lane.Mark(worker, marks)) {
    return Fail(ErrorKind::kNotFound, "lane " + ToString(key) + " has no worker " + worker);
  }
  return {};
}

Result<std::vector<LaneKey>> LocalPlatform::List(const PoolKey& key) {
  const std::lock_guard lock(mutex_);
  std::vector<LaneKey> keys;
  for (const auto& [lane, tenant] : lanes_) {
    if (PoolOf(lane) == key) keys.push_back(lane);
  }
  return keys;
}

Result<void> LocalPlatform::Remove(const LaneKey& key) {
  const std::lock_guard lock(mutex_);
  const auto found = lanes_.find(key);
  if (found == lanes_.end() || found->second.lane.removed()) return {};
  found->second.lane.Remove(clock_.Now());
  if (found->second.lane.Gone()) {
    lanes_.erase(found);
    return {};
  }
  found->second.announced = {found->second.lane.State(), found->second.lane.Workers()};
  WakeUp();
  return {};
}

Result<void> LocalPlatform::WriteStatus(const WorkerPool& pool, const PoolStatus& status) {
  return statuses_.Write(pool.key, status);
}

Result<PoolStatus> LocalPlatform::ReadStatus(const PoolKey& key) { return statuses_.Read(key); }

Result<void> LocalPlatform::AddFinalizer(const WorkerPool& pool) {
  finalizers_.insert(pool.key);
  return {};
}

Result<void> LocalPlatform::RemoveFinalizer(const WorkerPool& pool) {
  finalizers_.erase(pool.key);
  statuses_.Remove(pool.key);
  if (options_.on_let_go) options_.on_let_go(pool.key);
  return {};
}

void LocalPlatform::Publish(const WorkerPool& pool, const PoolEvent& event) {
  if (options_.on_event) options_.on_event(pool.key, event);
}

std::vector<LaneKey> LocalPlatform::LanesNow() const {
  const std::lock_guard lock(mutex_);
  std::vector<LaneKey> keys;
  for (const auto& [key, tenant] : lanes_) keys.push_back(key);
  return keys;
}

// The one thread that starts children: they die with the thread that started them.
void LocalPlatform::Run() {
  while (true) {
    SeeReports();
    const bool ordered = CarryOutOrders();
    const bool ended = ReadAndReap();
    AnnounceChanges();
    {
      const std::lock_guard lock(mutex_);
      alive_ = static_cast<int>(children_.size());
      if (stopping_) break;
    }
    if (!ordered && !ended) Wait();
  }
  children_.clear();  // Kills and reaps.
  const std::lock_guard lock(mutex_);
  alive_ = 0;
}

// Not under the lock: the probe has a lock of its own.
void LocalPlatform::SeeReports() {
  for (const LaneKey& key : LanesNow()) {
    const std::vector<ReportedWorker> reported = options_.reported(key);
    const std::lock_guard lock(mutex_);
    if (const auto found = lanes_.find(key); found != lanes_.end()) {
      found->second.lane.See(reported, clock_.Now());
    }
  }
}

bool LocalPlatform::CarryOutOrders() {
  std::vector<std::pair<LaneKey, WorkerOrder>> orders;
  bool kill_all = false;
  {
    const std::lock_guard lock(mutex_);
    kill_all = std::exchange(killing_, false);
    for (auto& [key, tenant] : lanes_) {
      for (WorkerOrder& order : tenant.lane.TakeOrders(clock_.Now())) {
        orders.emplace_back(key, std::move(order));
      }
    }
    alive_ += static_cast<int>(orders.size());  // An upper bound until they are counted.
  }
  for (const auto& [key, order] : orders) {
    if (order.what == WorkerOrder::What::kStart) {
      StartWorker(key, order);
      continue;
    }
    const auto child = children_.find(order.worker);
    if (child == children_.end()) continue;
    if (order.what == WorkerOrder::What::kTerminate) {
      child->second.process.SignalLeader(SIGTERM);
    } else {
      log::Warning("local", "worker killed",
                   {{"worker", order.worker}, {"why", "its grace is over"}});
      child->second.process.Signal(SIGKILL);
    }
  }
  if (kill_all) {
    for (auto& [name, child] : children_) child.process.Signal(SIGKILL);
  }
  return !orders.empty();
}

void LocalPlatform::StartWorker(const LaneKey& key, const WorkerOrder& order) {
  const auto start = [&]() -> Result<handlers::Process> {
    Result<handlers::Command> command =
        CommandFor(order.lane_template->command, order.worker, inherited_, path_);
    if (!command) return tl::unexpected<Error>(std::move(command).error());
    return handlers::Process::Start(*command, {});
  };
  Result<handlers::Process> process = start();
  if (!process) {
    log::Warning("local", "worker not started",
                 {{"worker", order.worker}, {"error", process.error().message}});
    const std::lock_guard lock(mutex_);
    if (const auto found = lanes_.find(key); found != lanes_.end()) {
      found->second.lane.OnEnded(order.worker, clock_.Now());
    }
    return;
  }
  process->input.Close();  // Nobody types.
  const std::string log_path = LogPathOf(order.worker);
  std::set<std::string> in_use{log_path};
  for (const auto& [name, child] : children_) in_use.insert(LogPathOf(name));
  children_.emplace(order.worker, Child{key, *std::move(process), OutputLog(log_path)});
  RemoveOldLogs(options_.logs_folder, kOutputFilesMax, in_use);
  log::Info("local", "worker started", {{"worker", order.worker}});
}

bool LocalPlatform::ReadAndReap() {
  bool anything = false;
  handlers::ReadBuffer buffer;
  for (auto entry = children_.begin(); entry != children_.end();) {
    auto& [name, child] = *entry;
    const bool exited = child.process.Exited();
    for (int reads = 0; reads < kReadsMax; ++reads) {
      const std::string_view bytes = handlers::ReadSome(child.process.output, buffer);
      if (bytes.empty()) break;
      child.log.Write(bytes);
      anything = true;
    }
    if (!exited) {
      ++entry;
      continue;
    }
    const handlers::ExitStatus status = child.process.Reap();
    anything = true;
    bool expected = true;
    {
      const std::lock_guard lock(mutex_);
      if (const auto found = lanes_.find(child.lane); found != lanes_.end()) {
        const Crew crew = found->second.lane.Workers();
        expected = FindWorker(crew.placed, name) == nullptr;
        found->second.lane.OnEnded(name, clock_.Now());
      }
    }
    if (expected) {
      log::Info("local", "worker ended", {{"worker", name}, {"how", Describe(status)}});
    } else {
      log::Warning("local", "worker died",
                   {{"worker", name}, {"how", Describe(status)}, {"log", LogPathOf(name)}});
    }
    entry = children_.erase(entry);
  }
  return anything;
}

void LocalPlatform::AnnounceChanges() {
  std::set<PoolKey> changed;
  {
    const std::lock_guard lock(mutex_);
    for (auto tenant = lanes_.begin(); tenant != lanes_.end();) {
      auto& [key, kept] = *tenant;
      Seen now{kept.lane.State(), kept.lane.Workers()};
      if (now != kept.announced) {
        changed.insert(PoolOf(key));
        kept.announced = std::move(now);
      }
      if (kept.lane.Gone()) {
        changed.insert(PoolOf(key));
        tenant = lanes_.erase(tenant);
      } else {
        ++tenant;
      }
    }
  }
  for (const PoolKey& pool : changed) {
    if (on_change_) on_change_(pool);
  }
}

void LocalPlatform::Wait() {
  std::optional<MonotonicTime> due;
  bool at_rest = true;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [key, tenant] : lanes_) {
      const std::optional<MonotonicTime> next = tenant.lane.NextDue();
      if (next) due = due ? std::min(*due, *next) : *next;
      if (tenant.lane.State().placed > 0) at_rest = false;
    }
  }
  milliseconds timeout = at_rest && children_.empty() ? kLookAtRest : kLook;
  if (due) {
    const auto left = std::max(*due, clock_.Now()) - clock_.Now();
    timeout = std::min(timeout, std::chrono::ceil<milliseconds>(left));
  }
  std::vector<pollfd> waiting{{wake_up_.get(), POLLIN, 0}};
  for (const auto& [name, child] : children_) {
    if (child.process.output.open()) waiting.push_back({child.process.output.get(), POLLIN, 0});
  }
  poll(waiting.data(), waiting.size(), static_cast<int>(timeout.count()));
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t taken = read(wake_up_.get(), &count, sizeof count);
}

}  // namespace lanekeeper
