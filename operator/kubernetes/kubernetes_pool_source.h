// The PoolSource that watches WorkerPool resources.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "operator/control/ports.h"
#include "operator/kubernetes/api.h"
#include "operator/kubernetes/watch_loop.h"

namespace lanekeeper::kubernetes {

// Start and Stop: by one thread. Stop returns within a second. A change that is only one of status
// or of somebody's annotations is no change of the pool and is not reported.
class KubernetesPoolSource final : public PoolSource {
 public:
  // Empty `only_namespace`: all namespaces. `api` must outlive this.
  KubernetesPoolSource(Api& api, std::string only_namespace);
  ~KubernetesPoolSource() override { Stop(); }

  void Start(Callbacks callbacks) override;
  void Stop() override;
  // Lists them anew, and reports what has changed. Not synced until that is done. Any thread,
  // between Start and Stop.
  void Refresh() { watch_->Relist(); }
  bool synced() const { return watch_ && watch_->synced(); }

 private:
  using Reported = std::variant<std::shared_ptr<const WorkerPool>, Error>;

  void OnObject(const nlohmann::json& object);
  void OnGone(const PoolKey& key);

  Api& api_;
  const std::string only_namespace_;
  Callbacks callbacks_;
  std::map<PoolKey, Reported> reported_;  // Of the watch thread.
  std::unique_ptr<WatchLoop> watch_;      // Last: its thread uses everything above.
};

}  // namespace lanekeeper::kubernetes
