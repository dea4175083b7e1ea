// SHA-256 of text, for fingerprints and for what must not be kept in the clear. Pure.
#pragma once

#include <string>
#include <string_view>

namespace lanekeeper::gateway {

// 64 hex digits, lower case.
std::string Sha256Hex(std::string_view bytes);

}  // namespace lanekeeper::gateway
