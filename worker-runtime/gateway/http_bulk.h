// Many jobs in one request: application/x-ndjson, one envelope a line.
#pragma once

#include <cstddef>
#include <string>

#include "worker-runtime/gateway/http_api.h"

namespace lanekeeper::gateway {

inline constexpr std::size_t kBulkLinesMax = 10'000;
inline constexpr std::size_t kBulkInHandMax = 128;  // Of one request, at once.

// Answers 200 with one line for each line of `body`, in their order; empty lines are left out.
// Every line stands for itself: one that is refused does not keep the next from being accepted.
void SubmitBulk(HttpParts& parts, const ExchangePtr& exchange, std::string body);

}  // namespace lanekeeper::gateway
