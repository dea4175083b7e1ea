// A value as messages quote it. Included by .cpp files only.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>

namespace lanekeeper {

// As JSON, cut off after 80 bytes. Json: nlohmann's json or ordered_json.
template <typename Json>
std::string Shown(const Json& value) {
  constexpr std::size_t kBytesMax = 80;
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.size() <= kBytesMax ? text : text.substr(0, kBytesMax) + "…";
}

}  // namespace lanekeeper
