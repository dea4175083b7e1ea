// A KEDA ScaledObject (keda.sh/v1alpha1) as far as it is about JetStream consumers. Pure. Included
// by .cpp files only.
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/convert/remarks.h"

namespace lanekeeper::convert {

// One trigger of type nats-jetstream.
struct QueueTrigger {
  std::string name;  // Empty: it has none.
  std::string stream;
  std::string consumer;
  std::int64_t lag_threshold = 10;
};

struct ScaledObject {
  std::string object_namespace;  // Empty: not said.
  std::string name;
  std::string deployment;
  std::vector<QueueTrigger> triggers;
  std::int64_t workers_min = 0;
  std::int64_t workers_max = 100;
  std::int64_t window_seconds = 300;  // Before workers go, or the last one.
  bool paused = false;
};

// Everything the WorkerPool has no place for is remarked on; with something wrong the value is not
// to be used.
ScaledObject ReadScaledObject(const nlohmann::ordered_json& object, RemarksOn& remarks);

}  // namespace lanekeeper::convert
