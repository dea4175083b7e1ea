// How fast a drained worker is used again, and how soon after the window an idle one is released.
#pragma once

#include <vector>

#include "e2e/chaos/scaling_stage.h"

namespace lanekeeper::e2e {

// `stage` has UndrainLanes. One worker, a job waiting, and nobody but this program telling the
// worker anything: the operator is away meanwhile. Milliseconds from sending "undrain" to the start
// of the handler, by its own word. Samples that did not come in time are missing.
std::string UndrainLanes();
std::vector<double> MeasureUndrain(Stage& stage, Witness& witness, int samples);

// `stage` has ScaleInLanes. Seconds from the end of the window (a job's end + the window) to the
// replicas being lowered.
std::vector<double> MeasureIdleRelease(Stage& stage, Witness& witness, int samples);

}  // namespace lanekeeper::e2e
