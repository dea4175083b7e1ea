// YAML as kubectl reads it, as JSON: every document of a text, lists of objects taken apart, merge
// keys and aliases followed, plain scalars by the rules of YAML 1.1 (`yes` is a boolean, 0777 is
// 511). Included by .cpp files only.
//
// Never throws. Bounded: a text that is too large, nests too deeply or grows too much by its
// aliases is refused before it takes time or memory.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "worker-runtime/base/result.h"

namespace lanekeeper {

// The API server takes no request that is longer.
inline constexpr std::size_t kManifestBytesMax = 3U << 20U;

// One object, and where it stands.
template <typename Json>
struct YamlObject {
  std::size_t document = 0;  // From 1, empty ones are counted.
  Json value;                // An object, unless the document is something else.
};

// The documents that are not empty; of a List (`kind: List`, or one that ends in List and has
// items), its items. kInvalid says what is wrong, with line and column.
Result<std::vector<YamlObject<nlohmann::json>>> ReadYaml(const std::string& text);
// The same, with the fields in the order in which they were written.
Result<std::vector<YamlObject<nlohmann::ordered_json>>> ReadYamlInOrder(const std::string& text);

}  // namespace lanekeeper
