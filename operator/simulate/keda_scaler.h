// The baseline: KEDA with the HorizontalPodAutoscaler it makes, as their sources say. Pure.
//
// KEDA asks for the metric every polling interval: while it is above zero the workload is active;
// an active workload without replicas gets one, an inactive one goes to zero once the cooldown is
// over. In between the HPA rules: every sync period it takes ceil(metric / threshold), unless that
// is within 10 % of what there is; it goes up by the larger of +4 pods and ×2 in 15 s, and down to
// the highest it would have had inside the stabilisation window. The metric is the consumer's
// num_pending + num_ack_pending. Sources: keda pkg/scaling/executor,
// pkg/scalers/nats_jetstream_scaler.go; kubernetes pkg/controller/podautoscaler.
#pragma once

#include <chrono>
#include <deque>
#include <vector>

#include "operator/simulate/scaler.h"

namespace lanekeeper::simulate {

struct KedaSettings {
  std::chrono::seconds polling_interval{30};
  std::chrono::seconds cooldown_period{300};
  std::chrono::seconds hpa_sync_period{15};
  std::chrono::seconds scale_down_window{300};
  int replicas_min = 0;
  int replicas_max = 100;
  // lagThreshold: jobs one replica is expected to carry. With the slots of a worker, as here, no
  // replica is missing and none is idle.
  int lag_threshold = 1;
  // terminationGracePeriodSeconds: what a pod that is taken away has to end its job.
  std::chrono::seconds grace{30};
};

KedaSettings KedaDefault();
// As quick as it can be made: 1 s polling, 60 s window and cooldown. The HPA's sync period is a
// flag of the whole control plane.
KedaSettings KedaTuned();

class KedaScaler : public Scaler {
 public:
  // One per lane: KEDA scales each by itself.
  explicit KedaScaler(std::vector<KedaSettings> lanes);
  void Step(Duration now, std::vector<SimulatedLane>& lanes) override;

 private:
  struct Past {
    Duration at;
    int replicas;
  };
  struct LaneState {
    KedaSettings settings;
    Duration last_active{0};
    bool begun = false;
    std::deque<Past> recommended;  // Inside the scale-down window.
    std::deque<Past> raised;       // By how many, inside the last 15 s.
  };
  static void Poll(Duration now, SimulatedLane& lane, LaneState& state);
  static void Sync(Duration now, SimulatedLane& lane, LaneState& state);

  std::vector<LaneState> states_;
};

}  // namespace lanekeeper::simulate
