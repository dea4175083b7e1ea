#include "operator/control/control_loop.h"

#include <utility>
#include <variant>

#include "worker-runtime/base/backoff.h"
#include "worker-runtime/base/log.h"

namespace lanekeeper {

ControlLoop::ControlLoop(PoolSource& source, LaneProbe& probe, Queues& queues, Platform& platform,
                         const Clock& clock, ReconcileObserver* observer, Ledger* ledger,
                         PoolBoard* board)
    : source_(source),
      probe_(probe),
      clock_(clock),
      board_(board),
      reconciler_(platform, queues, probe, clock, observer, ledger, board),
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
                       if (board_ != nullptr) board_->KeepOnly(store_.Keys());
                       synced_ = true;
                     }});
}

void ControlLoop::Stop() {
  if (!std::exchange(started_, false)) return;
  queue_.Close();
  source_.Stop();
  probe_.Stop();
  thread_.join();
}

void ControlLoop::Run() {
  while (!queue_.closed()) {
    beat_ = clock_.Now().time_since_epoch().count();
    if (const std::optional<PoolKey> key = queue_.Take(std::chrono::seconds(1))) Work(*key);
  }
}

void ControlLoop::Work(const PoolKey& key) {
  const std::optional<PoolStore::Entry> entry = store_.Get(key);
  if (!entry) {
    reconciler_.Forget(key);
    failures_.erase(key);
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
