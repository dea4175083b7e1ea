// Bringing a configuration the server keeps to what we want, without touching the rest of it. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "worker-runtime/base/result.h"

namespace lanekeeper::nats {

// Lays `desired` (a JSON object) over `existing` (what the server returned). Returns the merged
// text when they differ, nothing when `existing` already says everything `desired` does.
// - Fields only `existing` has stay: those set by a person or known to a newer version.
// - Objects are merged, arrays and numbers replaced.
// - What a server leaves out because it is the default (0, false, "", [], {}, -1 for a limit)
// counts
//   as equal to that default, and a missing field is not added only to say so.
// kInvalid when either is not a JSON object.
Result<std::optional<std::string>> MergeDesired(std::string_view existing,
                                                std::string_view desired);

}  // namespace lanekeeper::nats
