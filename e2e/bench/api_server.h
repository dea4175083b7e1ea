// etcd and kube-apiserver of a program's own, by e2e/cluster/cluster.sh: no nodes, no controllers.
//
// Throws std::runtime_error.
#pragma once

#include <sys/types.h>

#include <string>

#include "operator/kubernetes/api.h"
#include "operator/kubernetes/kubeconfig.h"

namespace lanekeeper::e2e {

class ApiServer {
 public:
  // `folder` gets its state. The error holds what was said when it does not start.
  explicit ApiServer(std::string folder);
  ~ApiServer();
  ApiServer(const ApiServer&) = delete;
  ApiServer& operator=(const ApiServer&) = delete;

  std::string kubeconfig() const { return folder_ + "/kubeconfig"; }
  kubernetes::KubeConfig Config() const;
  kubernetes::KubeConfig ConfigWithToken() const;
  pid_t pid_of(const std::string& program) const;  // "kube-apiserver" or "etcd".

 private:
  int Cluster(const std::string& command) const;

  const std::string folder_;
};

// Applies crds/workerpools.yaml. The resource is served a moment later.
void ApplyCrd(kubernetes::Api& api);
void CreateNamespace(kubernetes::Api& api, const std::string& name);

// The text of a file; empty when there is none.
std::string TextOf(const std::string& path);

}  // namespace lanekeeper::e2e
