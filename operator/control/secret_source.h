// Where the secrets that a pool names are read.
#pragma once

#include <map>
#include <string>

#include "worker-runtime/base/result.h"

namespace lanekeeper {

using SecretValues = std::map<std::string, std::string>;  // Never logged.

class SecretSource {
 public:
  virtual ~SecretSource() = default;
  // All values of a Secret. Waits, some seconds at most; called by one thread. kNotFound: there is
  // none; kForbidden: this operator may not read it.
  virtual Result<SecretValues> Read(const std::string& secret_namespace,
                                    const std::string& name) = 0;
};

}  // namespace lanekeeper
