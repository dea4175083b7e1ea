// A value against a schema as a CustomResourceDefinition has it: what the API server would refuse,
// field by field. Pure; never throws on any value. Included by .cpp files only.
//
// Knows what crds/workerpools.yaml uses: type, properties, additionalProperties, items, required,
// enum, pattern, minimum, maximum, the lengths, x-kubernetes-preserve-unknown-fields,
// -int-or-string, -list-type: map. Not x-kubernetes-validations, the rules over several fields.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "operator/manifest/field_problem.h"

namespace lanekeeper {

inline constexpr std::size_t kFieldProblemsMax = 100;

// The first kFieldProblemsMax. null is as good as missing, as kubectl has it; what is not listed in
// `properties` is an unknown field, as with `kubectl apply`, and the nearest known one is named.
// `path` is that of `value`, empty for the whole object.
std::vector<FieldProblem> CheckSchema(const nlohmann::json& schema, const nlohmann::json& value,
                                      const std::string& path);

}  // namespace lanekeeper
