// Gpu lanes on a node that has fewer GPUs than are asked for.
#pragma once

#include <string>
#include <vector>

#include "e2e/chaos/scaling_stage.h"

namespace lanekeeper::e2e {

inline constexpr const char* kGpuResource = "nvidia.com/gpu";

// The only node has so many GPUs for as long as this lives. False when the cluster has several
// nodes or did not take it.
class AdvertisedGpus {
 public:
  AdvertisedGpus(const Cluster& cluster, int gpus);
  ~AdvertisedGpus();
  AdvertisedGpus(const AdvertisedGpus&) = delete;
  AdvertisedGpus& operator=(const AdvertisedGpus&) = delete;
  explicit operator bool() const { return advertised_; }

 private:
  const Cluster& cluster_;
  std::string node_;
  bool advertised_ = false;
};

// Lanes "gpu" (at most six workers) and "cpu", and a budget of six workers, four of them with a
// GPU.
std::string GpuLanes();
std::string GpuBudget();

struct GpuResult {
  std::vector<std::string> troubles;  // Claims that did not hold.
  std::string capacity_message;       // Of the condition CapacityShort.
  int most_gpu_workers = 0;           // Replicas, at their highest.
  int most_workers = 0;               // Of both lanes.
  int cpu_workers = 0;                // That the other lane got while the Gpu lane had no room.
};

// `stage` has GpuLanes and GpuBudget, and the node two GPUs: six Gpu jobs want six workers, the
// budget grants four, the node has room for two.
GpuResult RunGpuShortage(Stage& stage, Witness& witness);
// Both GPUs busy, and a new template: sentences on what went wrong.
std::vector<std::string> RunGpuRollout(Stage& stage, Witness& witness);

}  // namespace lanekeeper::e2e
