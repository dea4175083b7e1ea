#include "worker-runtime/nats/json_converge.h"

#include <nlohmann/json.hpp>

namespace lanekeeper::nats {
namespace {

using nlohmann::json;

// What a server may leave out when it holds for a field.
bool IsAbsence(const json& value) {
  switch (value.type()) {
    case json::value_t::null:
      return true;
    case json::value_t::boolean:
      return !value.get<bool>();
    case json::value_t::string:
      return value.get_ref<const std::string&>().empty();
    case json::value_t::array:
    case json::value_t::object:
      return value.empty();
    case json::value_t::number_integer: {
      const auto number = value.get<std::int64_t>();
      return number == 0 || number == -1;  // -1 stands for "no limit".
    }
    case json::value_t::number_unsigned:
      return value.get<std::uint64_t>() == 0;
    case json::value_t::number_float:
      return value.get<double>() == 0;
    default:
      return false;
  }
}

// Lays `desired` over `*existing`; true when that changed anything.
bool Overlay(const json& desired, json* existing) {
  bool changed = false;
  for (const auto& [name, wanted] : desired.items()) {
    const auto found = existing->find(name);
    if (found == existing->end()) {
      if (IsAbsence(wanted)) continue;
      (*existing)[name] = wanted;
      changed = true;
    } else if (wanted.is_object() && found->is_object()) {
      changed = Overlay(wanted, &*found) || changed;
    } else if (*found != wanted && !(IsAbsence(*found) && IsAbsence(wanted))) {
      *found = wanted;
      changed = true;
    }
  }
  return changed;
}

}  // namespace

Result<std::optional<std::string>> MergeDesired(std::string_view existing_text,
                                                std::string_view desired_text) {
  json existing = json::parse(existing_text, nullptr, /*allow_exceptions=*/false);
  if (!existing.is_object()) return Fail(ErrorKind::kInvalid, "existing: not a JSON object");
  const json desired = json::parse(desired_text, nullptr, /*allow_exceptions=*/false);
  if (!desired.is_object()) return Fail(ErrorKind::kInvalid, "desired: not a JSON object");
  if (!Overlay(desired, &existing)) return std::optional<std::string>();
  return std::optional(existing.dump(-1, ' ', false, json::error_handler_t::replace));
}

}  // namespace lanekeeper::nats
