// KEDA ScaledObjects on JetStream consumers, with their Deployments, as WorkerPools. Pure.
#pragma once

#include <string>
#include <vector>

#include "worker-runtime/base/result.h"

namespace lanekeeper::convert {

struct ConvertInput {
  std::string name;  // Of the file, for messages: "deploy.yaml".
  std::string text;
};

struct ConvertOptions {
  // Every ScaledObject becomes a lane of the one pool of that name. Empty: a pool each.
  std::string pool;
};

struct Converted {
  std::string yaml;  // The manifest, with the notes as comments at its top.
  // One line each: "not carried over: ScaledObject studio/render spec.fallback: …".
  std::vector<std::string> notes;
};

// Objects may be spread over the inputs in any order. kInvalid names every document and field that
// is wrong, a line each; then nothing was converted. What it returns is a manifest that
// `lanekeeper validate` finds good.
Result<Converted> Convert(const std::vector<ConvertInput>& inputs, const ConvertOptions& options);

}  // namespace lanekeeper::convert
