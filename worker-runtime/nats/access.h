// From files and texts to what libnats has to know about TLS and about who we are. Private to this
// room.
#pragma once

#include <string>
#include <vector>

#include "worker-runtime/base/result.h"
#include "worker-runtime/nats/connection.h"
#include "worker-runtime/nats/handles.h"

namespace lanekeeper::nats {

// Whom libnats asks, each time it connects.
struct SignIn {
  natsUserJWTHandler jwt = nullptr;
  natsSignatureHandler signature = nullptr;
  void* closure = nullptr;
};

// `given`, completed from the files. kInvalid names the file, or says what does not go together.
Result<Access> CompleteFromFiles(const ConnectOptions& options, Access given);

// kInvalid: certificates or key cannot be used.
Result<void> SetTls(natsOptions* options, const Access& access,
                    const std::vector<std::string>& urls);

// kInvalid: the credentials are none.
Result<void> SetSignIn(natsOptions* options, const Access& access, const SignIn& sign_in);

}  // namespace lanekeeper::nats
