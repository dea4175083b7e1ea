// Reads a stream forwards, message by message. Waits for NATS: for a thread that may.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "worker-runtime/base/result.h"
#include "worker-runtime/base/time.h"
#include "worker-runtime/nats/connection.h"
#include "worker-runtime/nats/jetstream_answers.h"

namespace lanekeeper::gateway {

struct ScanRange {
  std::string stream;
  std::string subject;               // '*' and '>' allowed.
  std::uint64_t first_sequence = 1;  // Not before it, nor before `since`.
  WallTime since{};
  std::int64_t messages_max = 200'000;
};

// Calls `visit` for each message until that returns false. False: there were more than
// messages_max. Direct gets in batches; from the leader one by one where the stream has none.
Result<bool> ScanStream(nats::Connection& connection, const ScanRange& range,
                        const std::function<bool(const nats::StoredMessage&)>& visit);

}  // namespace lanekeeper::gateway
