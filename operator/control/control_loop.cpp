#include "operator/control/control_loop.h"

#include <utility>
#include <variant>

#include "worker-runtime/base/backoff.h"
#include "worker-runtime/base/log.h"

namespace lanekeeper {
namespace {

constexpr std::chrono::milliseconds kPatience{1000};
constexpr std::chrono::milliseconds kReadinessPoll{20};

const Leadership* LeadershipOf(const std::optional<Standby>& standby) {
  return standby ? standby->lead : nullptr;
}

}  // namespace

ControlLoop::ControlLoop(PoolSource& source, LaneProbe& probe, Queues& queues, Platform& platform,
                         const Clock& clock, ReconcileObserver* observer, Ledger* ledger,
                         PoolBoard* board, std::optional<Standby> standby)
    : source_(source),
      standby_(std::move(standby)),
      probe_(probe, LeadershipOf(standby_)),
      queues_(queues, LeadershipOf(standby_)),
      ledger_(ledger, LeadershipOf(standby_)),
      clock_(clock),
      board_(board),
      reconciler_(platform, queues_, probe_, clock, observer, &ledger_, board),
      role_(standby_ ? Role::kStandsBy : Role::kLeads),
      random_(std::random_device{}()) {}

ControlLoop::~ControlLoop() { Stop(); }

void ControlLoop::Start() {
  started_ = true;
  beat_ = clock_.Now().time_since_epoch().count();
  thread_ = std::thread([this] { Run(); });
  probe_.Start([this](const LaneKey& key) { queue_.Add({key.pool_namespace, key.pool}); });
  source_.Start({.on_pool =
                     [this](std::shared_ptr<const WorkerPool> pool) {
                       const PoolKey key = pool->key;
                       store_.Put(std::move(pool));
                       queue_.Add(key);
                     },
                 .on_gone =
                     [this](const PoolKey& key) {
                       store_.Erase(key);
                       queue_.Add(key);
                     },
                 .on_invalid =
                     [this](const PoolKey& key, const Error& error) {
                       store_.PutInvalid(key, error);
                       queue_.Add(key);
                     },
                 .on_synced =
                     [this] {
                       if (board_ != nullptr && !standby_) board_->KeepOnly(store_.Keys());
                       synced_ = true;
                     }});
}

void ControlLoop::StopActing() {
  queue_.Close();
  if (thread_.joinable()) thread_.join();
}

void ControlLoop::Stop() {
  if (!std::exchange(started_, false)) return;
  StopActing();
  source_.Stop();
  probe_.Stop();
}

void ControlLoop::Run() {
  while (!queue_.closed()) {
    beat_ = clock_.Now().time_since_epoch().count();
    if (synced_ && !std::exchange(listens_to_all_, true)) ListenToAll();
    if (standby_) FollowLead();
    const auto patience = role_ == Role::kGetsReady ? kReadinessPoll : kPatience;
    if (const std::optional<PoolKey> key = queue_.Take(patience)) Work(*key);
  }
}

// At a start with many pools, the last of them has its first pass a while after the first; what its
// queues hold is known by then. Pools without our finalizer are new: they have no queues yet.
void ControlLoop::ListenToAll() {
  for (const PoolKey& key : store_.Keys()) {
    const std::optional<PoolStore::Entry> entry = store_.Get(key);
    if (!entry) continue;
    const auto* pool = std::get_if<std::shared_ptr<const WorkerPool>>(&*entry);
    if (pool == nullptr || (*pool)->deleting || !(*pool)->has_finalizer) continue;
    reconciler_.StandBy(**pool);
  }
}

void ControlLoop::FollowLead() {
  const std::optional<Lead> offered = standby_->lead->Offered();
  if (role_ != Role::kStandsBy && (!offered || offered->epoch != epoch_)) {
    standby_->lead->LayDown();
    if (role_ == Role::kLeads) reconciler_.StandDown();
    failures_.clear();
    role_ = Role::kStandsBy;
    log::Info("reconciler", "stands by", {{"epoch", epoch_}});
  }
  if (role_ == Role::kStandsBy && offered) {
    epoch_ = offered->epoch;
    standby_->refresh();
    role_ = Role::kGetsReady;
  }
  if (role_ == Role::kGetsReady && synced_ && standby_->fresh()) BeginToLead();
}

void ControlLoop::BeginToLead() {
  const std::vector<PoolKey> pools = store_.Keys();
  if (board_ != nullptr) {
    board_->StartOver();
    board_->KeepOnly(pools);
  }
  role_ = Role::kLeads;
  standby_->lead->TakeUp(epoch_);
  log::Info("reconciler", "leads", {{"epoch", epoch_}, {"pools", pools.size()}});
  for (const PoolKey& key : pools) queue_.Add(key);
}

void ControlLoop::Work(const PoolKey& key) {
  const std::optional<PoolStore::Entry> entry = store_.Get(key);
  if (!entry) {
    reconciler_.Forget(key);
    failures_.erase(key);
    return;
  }
  if (role_ != Role::kLeads) {
    const auto* pool = std::get_if<std::shared_ptr<const WorkerPool>>(&*entry);
    if (pool != nullptr) reconciler_.StandBy(**pool);
    return;
  }
  Reconciler::Next next;
  if (const auto* pool = std::get_if<std::shared_ptr<const WorkerPool>>(&*entry)) {
    next = reconciler_.Reconcile(**pool);
  } else {
    next = reconciler_.ReconcileInvalid(key, std::get<Error>(*entry));
  }
  if (!next.error) {
    failures_.erase(key);
    if (next.due) queue_.AddAt(key, *next.due);
    return;
  }
  const int failures = ++failures_[key];
  const std::chrono::milliseconds delay =
      Jittered(RetryDelay(*next.error, failures), (std::uint64_t{random_()} << 31) ^ random_());
  log::Warning("reconciler", "pass failed",
               {{"pool", ToString(key)},
                {"error", next.error->message},
                {"kind", ToString(next.error->kind)},
                {"failures", failures},
                {"retry_in_ms", delay.count()}});
  queue_.AddAt(key, clock_.Now() + delay);
}

}  // namespace lanekeeper
