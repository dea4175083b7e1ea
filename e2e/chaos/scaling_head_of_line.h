// The same short and long jobs, at the same moments, given to one shared pool of workers and to a
// pool with as many workers in two lanes.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "e2e/chaos/scaling_stage.h"

namespace lanekeeper::e2e {

struct MixedWork {
  int short_workers = 2;
  int long_workers = 4;  // As many long jobs as all workers together come at once.
  std::chrono::milliseconds short_job{50};
  std::chrono::milliseconds long_job{60000};
  std::chrono::milliseconds lasts{70000};  // For so long short jobs come…
  double short_per_second = 4;             // …at random, always the same.
};

struct Waits {
  std::vector<double> short_ms;
  std::vector<double> long_ms;
};

struct HeadOfLine {
  Waits shared;
  Waits lanes;
  std::vector<std::string> troubles;
};

// Lanes of a stage with one shared lane "all", and of one with "short" and "long".
std::string SharedLane(const MixedWork& work);
std::string SeparateLanes(const MixedWork& work);

HeadOfLine RunHeadOfLine(Stage& shared, Stage& lanes, const MixedWork& work);

// Lines of a table: p50, p99 and longest wait of both kinds, side by side.
std::string Describe(const HeadOfLine& result);
// p99 of the short jobs in lanes over that in the shared pool; NaN when not all were measured.
double ShortWaitRatio(const HeadOfLine& result);

}  // namespace lanekeeper::e2e
