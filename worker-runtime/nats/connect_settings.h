// What every program reads from its environment about its connection to NATS.
#pragma once

#include "worker-runtime/base/settings.h"
#include "worker-runtime/nats/connection.h"

namespace lanekeeper::nats {

// LANEKEEPER_NATS_TLS_CA, _TLS_CERT and _TLS_KEY.
TlsFiles ReadTlsFiles(Settings& settings);

}  // namespace lanekeeper::nats
