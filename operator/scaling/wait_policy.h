// The wait policy: how many slots a lane needs so that no job waits longer than target_wait, and
// how long a job that comes now will wait. Pure.
#pragma once

#include <chrono>
#include <optional>

#include "operator/scaling/observation.h"

namespace lanekeeper::scaling {

// Slots (rooms for one running job) that `seen` asks for under policy.target_wait: `waiting` is
// what waits, parked jobs included where they count (see DecideWorkers). Nothing while the service
// time is not known: the depth policy then stands in. Never fewer than are running.
//
// With service time S, cold start C and target T, the highest of:
// - enough: jobs · S / (S + T). With so many slots there would be, the last job in line waits T.
//   Where there are fewer, more are asked for in one step: as many as it takes to get through what
//   will still wait when they have started, and at most one for each job.
// - steady: what will be running a cold start from now, by what runs and by the arrival rate, and a
//   reserve for chance.
// - where T is shorter than C, so that who waits for a worker waits too long: the slots that are
//   usually needed next when demand rises like this (Estimate::slots_next).
// Precondition: policy.target_wait is set.
std::optional<double> SlotsByWait(const ScalingPolicy& policy, const Observation& seen);

// How long a job that comes now waits before it starts, by what runs and what is on its way.
// Nothing while the service time is not known, the lane is paused, or may have no workers at all.
std::optional<std::chrono::milliseconds> PredictWait(const ScalingPolicy& policy,
                                                     const Observation& seen);

}  // namespace lanekeeper::scaling
