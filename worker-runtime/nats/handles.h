// Owners for libnats objects, and the way between natsMsg and Message. Private to this room: the
// one header that includes <nats/nats.h>.
#pragma once

#include <nats/nats.h>

#include <memory>
#include <string>
#include <string_view>

#include "worker-runtime/base/destroy_with.h"
#include "worker-runtime/base/result.h"
#include "worker-runtime/nats/connection.h"

namespace lanekeeper::nats {

// Frees it here and now. natsMsg_Destroy hands every message to a collector thread of libnats, and
// waking that one costs several times what freeing does.
void FreeMessage(natsMsg* message);
// False with a libnats that does not show how: FreeMessage is natsMsg_Destroy then.
bool FreesMessagesItself();

using OptionsHandle = std::unique_ptr<natsOptions, DestroyWith<natsOptions_Destroy>>;
using MessageHandle = std::unique_ptr<natsMsg, DestroyWith<FreeMessage>>;
using StatisticsHandle = std::unique_ptr<natsStatistics, DestroyWith<natsStatistics_Destroy>>;
// Shared inside the room only: a call under way keeps its session while the keeper replaces it.
using SessionHandle = std::shared_ptr<natsConnection>;
using SubscriptionHandle = std::shared_ptr<natsSubscription>;

// Adapts a handle to libnats' `T**` out-parameter style (C++23 has std::out_ptr; g++ 12 does not).
// The handle receives the object at the end of the full expression, also when the call failed.
template <typename Handle>
class OutParam {
 public:
  explicit OutParam(Handle& handle) : handle_(handle) {}
  ~OutParam() { handle_.reset(raw_); }
  OutParam(const OutParam&) = delete;
  OutParam& operator=(const OutParam&) = delete;
  operator typename Handle::pointer *() { return &raw_; }  // NOLINT(google-explicit-constructor)

 private:
  Handle& handle_;
  typename Handle::pointer raw_ = nullptr;
};

// Copies everything; `message` stays the caller's.
Message ToMessage(natsMsg* message);

// kInvalid when a header cannot be written (an empty name, a line break).
Result<MessageHandle> ToNatsMessage(std::string_view subject, std::string_view reply,
                                    std::string_view payload, const Headers& headers);

// What the caller may do about a status of libnats.
Error ToError(natsStatus status, std::string_view what);

}  // namespace lanekeeper::nats
