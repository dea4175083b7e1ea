// JSON as the YAML a person would write: blocks, no quotes where none are needed. Whoever reads it,
// by YAML 1.1 or 1.2, reads the same values again. Pure. Included by .cpp files only.
#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace lanekeeper {

// Ends with a line break. Bytes that are not UTF-8 become the replacement character.
std::string WriteYaml(const nlohmann::ordered_json& value);

}  // namespace lanekeeper
