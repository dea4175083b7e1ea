// Reading JSON that somebody else wrote: a missing field or a wrong type is an empty value, never
// an exception. Included by .cpp files only.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace lanekeeper::kubernetes {

// "discarded" (is_discarded()) when `text` is not JSON.
inline nlohmann::json ParseJson(std::string_view text) {
  return nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
}

// Never throws: bytes that are not UTF-8 become the replacement character.
inline std::string DumpJson(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

using JsonPath = std::initializer_list<std::string_view>;

// The value at a path of object keys; nullptr when there is none, or null.
inline const nlohmann::json* At(const nlohmann::json& object, JsonPath path) {
  const nlohmann::json* value = &object;
  for (const std::string_view key : path) {
    if (!value->is_object()) return nullptr;
    const auto found = value->find(key);
    if (found == value->end()) return nullptr;
    value = &*found;
  }
  return value->is_null() ? nullptr : value;
}

inline std::string TextAt(const nlohmann::json& object, JsonPath path) {
  const nlohmann::json* value = At(object, path);
  return value != nullptr && value->is_string() ? value->get<std::string>() : std::string();
}

inline std::int64_t IntegerAt(const nlohmann::json& object, JsonPath path) {
  const nlohmann::json* value = At(object, path);
  return value != nullptr && value->is_number_integer() ? value->get<std::int64_t>() : 0;
}

// The list at a path; an empty one when there is none.
inline const nlohmann::json& ListAt(const nlohmann::json& object, JsonPath path) {
  static const nlohmann::json kEmpty = nlohmann::json::array();
  const nlohmann::json* value = At(object, path);
  return value != nullptr && value->is_array() ? *value : kEmpty;
}

}  // namespace lanekeeper::kubernetes
