// Reading objects that somebody else wrote, numbers as text included. Included by .cpp files only.
#pragma once

#include <charconv>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "cli/convert/remarks.h"
#include "operator/manifest/shown.h"

namespace lanekeeper::convert {

using Json = nlohmann::ordered_json;

// nullptr: it is missing, null, or `object` is no object.
inline const Json* Find(const Json& object, const std::string& name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

// Of Helm, Kustomize, envsubst or KEDA, which nobody has filled in yet.
inline bool IsTemplate(const std::string& text) {
  return text.find("{{") != std::string::npos || text.find("${") != std::string::npos ||
         text.find("$(") != std::string::npos;
}

inline constexpr const char* kRenderFirst =
    "is a template: render it first, as in `helm template … | lanekeeper convert -`";

// Empty when it is missing, or wrong. `n` and `yes` without quotes are no texts.
inline std::string TextOf(const Json& object, const std::string& name, const std::string& path,
                          RemarksOn& remarks) {
  const Json* value = Find(object, name);
  if (value == nullptr) return "";
  if (!value->is_string()) {
    const bool unquoted = value->is_number() || value->is_boolean();
    remarks.Wrong(path,
                  "must be a text, is " + Shown(*value) + (unquoted ? ": put it in quotes" : ""));
    return "";
  }
  auto text = value->get<std::string>();
  if (!IsTemplate(text)) return text;
  remarks.Wrong(path, Shown(*value) + " " + kRenderFirst);
  return "";
}

// Nothing when it is missing, or wrong.
inline std::optional<std::int64_t> IntegerOf(const Json& object, const std::string& name,
                                             const std::string& path, RemarksOn& remarks) {
  const Json* value = Find(object, name);
  if (value == nullptr) return std::nullopt;
  if (value->is_number_unsigned() && value->get<std::uint64_t>() > INT64_MAX) return INT64_MAX;
  if (value->is_number_integer()) return value->get<std::int64_t>();
  if (value->is_string()) {
    const auto& text = value->get_ref<const std::string&>();
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc() && end == text.data() + text.size()) return number;
    if (IsTemplate(text)) {
      remarks.Wrong(path, Shown(*value) + " " + kRenderFirst);
      return std::nullopt;
    }
  }
  remarks.Wrong(path, "must be a whole number, is " + Shown(*value));
  return std::nullopt;
}

}  // namespace lanekeeper::convert
