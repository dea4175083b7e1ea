// What the server counts against max_payload beside the payload. Pure.
#pragma once

#include <cstddef>

#include "worker-runtime/job/job.h"

namespace lanekeeper {

// "NATS/1.0\r\n", each "name: value\r\n", and "\r\n".
inline std::size_t HeaderBytes(const Headers& headers) {
  std::size_t bytes = 12;
  for (const auto& [name, value] : headers) bytes += name.size() + value.size() + 4;
  return bytes;
}

}  // namespace lanekeeper
