// The flags of `simulate`: for lanekeeper-simulate and for `lanekeeper simulate`.
#pragma once

#include <CLI/CLI.hpp>

#include "operator/simulate/command.h"

namespace lanekeeper::simulate {

inline constexpr const char* kSimulateDescription =
    "Replays a job trace against a WorkerPool manifest, offline, and compares policies";

// `options` gets what is parsed and must outlive the parsing.
void AddSimulateFlags(CLI::App& app, SimulateOptions& options);

}  // namespace lanekeeper::simulate
