// The pod template of a Deployment, made fit for a WorkerPool. Pure. Included by .cpp files only.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "cli/convert/remarks.h"

namespace lanekeeper::convert {

struct PodTemplate {
  nlohmann::ordered_json value;               // As spec.template of a pool takes it.
  std::optional<std::int64_t> grace_seconds;  // What it said about its end; workers.grace.
  bool asks_for_gpu = false;
  // Runs the worker runtime already. Other programs pull from the consumer by themselves.
  bool runs_runtime = false;
};

// `deployment` has a spec. What cannot stay is remarked on.
PodTemplate ReadPodTemplate(const nlohmann::ordered_json& deployment, RemarksOn& remarks);

}  // namespace lanekeeper::convert
