#include "operator/kubernetes/kubernetes_pool_source.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "operator/kubernetes/worker_pool_json.h"
#include "worker-runtime/base/log.h"

namespace lanekeeper::kubernetes {

KubernetesPoolSource::KubernetesPoolSource(Api& api, std::string only_namespace)
    : api_(api), only_namespace_(std::move(only_namespace)) {}

void KubernetesPoolSource::Start(Callbacks callbacks) {
  if (watch_) return;
  callbacks_ = std::move(callbacks);
  reported_.clear();
  WatchCallbacks watch;
  watch.on_object = [this](const nlohmann::json& object) { OnObject(object); };
  watch.on_gone = [this](const ObjectName& name, const std::string&) {
    OnGone({name.object_namespace, name.name});
  };
  watch.on_synced = [this, told = false]() mutable {
    if (!std::exchange(told, true)) callbacks_.on_synced();
  };
  watch_ = std::make_unique<WatchLoop>(
      api_, WatchTarget{.resource = kWorkerPools, .only_namespace = only_namespace_},
      std::move(watch));
  watch_->Start();
}

void KubernetesPoolSource::Stop() { watch_.reset(); }

void KubernetesPoolSource::OnObject(const nlohmann::json& object) {
  const PoolKey key = PoolKeyFromJson(object);
  Result<WorkerPool> pool = WorkerPoolFromJson(object);
  const auto before = reported_.find(key);
  if (!pool) {
    const Error* said = before == reported_.end() ? nullptr : std::get_if<Error>(&before->second);
    if (said != nullptr && *said == pool.error()) return;
    log::Warning("kubernetes", "unusable pool",
                 {{"pool", ToString(key)}, {"error", pool.error().message}});
    reported_.insert_or_assign(key, Reported(pool.error()));
    callbacks_.on_invalid(key, pool.error());
    return;
  }
  if (before != reported_.end()) {
    const auto* said = std::get_if<std::shared_ptr<const WorkerPool>>(&before->second);
    if (said != nullptr && **said == *pool) return;
  }
  auto shared = std::make_shared<const WorkerPool>(*std::move(pool));
  reported_.insert_or_assign(key, Reported(shared));
  callbacks_.on_pool(std::move(shared));
}

void KubernetesPoolSource::OnGone(const PoolKey& key) {
  if (reported_.erase(key) > 0) callbacks_.on_gone(key);
}

}  // namespace lanekeeper::kubernetes
