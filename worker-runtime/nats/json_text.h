// How this room reads and writes JSON text. Nothing here throws.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace lanekeeper::nats {

// What every JSON reader can hold.
inline constexpr std::int64_t kJsonIntegerMax = std::int64_t{1} << 53;

// A discarded value for what is not JSON.
inline nlohmann::json ParseJson(std::string_view text) {
  return nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
}

// On one line; bytes that are not UTF-8 are replaced.
inline std::string DumpJson(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace lanekeeper::nats
