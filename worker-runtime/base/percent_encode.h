#pragma once

#include <string>
#include <string_view>

namespace lanekeeper {

// All but the unreserved characters of RFC 3986 (letters, digits, "-._~") as %XX: for one segment
// of a path, or a name or value of a query. Pure.
std::string PercentEncode(std::string_view text);

}  // namespace lanekeeper
