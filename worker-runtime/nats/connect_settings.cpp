#include "worker-runtime/nats/connect_settings.h"

#include "worker-runtime/job/nats_settings.h"

namespace lanekeeper::nats {

TlsFiles ReadTlsFiles(Settings& settings) {
  return {.ca = settings.Text(kEnvNatsTlsCa, ""),
          .certificate = settings.Text(kEnvNatsTlsCert, ""),
          .key = settings.Text(kEnvNatsTlsKey, "")};
}

}  // namespace lanekeeper::nats
