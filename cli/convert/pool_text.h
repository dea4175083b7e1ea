// A WorkerPool of ScaledObjects and their pod templates, as YAML with its comments. Pure. Included
// by .cpp files only.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "cli/convert/pod_template.h"
#include "cli/convert/scaled_object.h"

namespace lanekeeper::convert {

// One ScaledObject and the template of its Deployment.
struct Source {
  ScaledObject scaled;
  PodTemplate pod_template;
  std::vector<std::string> notes;  // About the two.
};

// At most 30 characters a-z, 0-9 and '-', beginning with a letter: what is left of `text`.
std::string NameOf(const std::string& text);

// Adds to the notes of the sources what was assumed on the way. `deployments`: names in that
// namespace that lanes must not take, "<pool>-<lane>".
nlohmann::ordered_json PoolOf(const std::string& name, std::vector<Source>& sources,
                              const std::set<std::string>& deployments);

// Its comments and itself.
std::string PoolText(const nlohmann::ordered_json& pool, const std::vector<Source>& sources);

}  // namespace lanekeeper::convert
