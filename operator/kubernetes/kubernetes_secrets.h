// Secrets, read one by one and by name: `get` is all the operator may, so there is no watch.
#pragma once

#include <string>

#include "operator/control/secret_source.h"
#include "operator/kubernetes/api.h"

namespace lanekeeper::kubernetes {

class KubernetesSecrets final : public SecretSource {
 public:
  // `api` outlives this.
  explicit KubernetesSecrets(Api& api) : api_(api) {}

  // One request. kInvalid: what the server sent is no Secret. Values that are not base64 are left
  // out; no error has any of a value in it.
  Result<SecretValues> Read(const std::string& secret_namespace, const std::string& name) override;

 private:
  Api& api_;
};

}  // namespace lanekeeper::kubernetes
