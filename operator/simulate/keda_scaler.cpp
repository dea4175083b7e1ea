#include "operator/simulate/keda_scaler.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

namespace lanekeeper::simulate {
namespace {

constexpr double kTolerance = 0.1;
constexpr std::chrono::seconds kPolicyPeriod{15};
constexpr int kPodsPerPeriod = 4;

std::int64_t Metric(const SimulatedLane& lane) { return lane.waiting() + lane.running(); }

void SetReplicas(SimulatedLane& lane, int replicas, const KedaSettings& settings) {
  const int more = replicas - lane.asked();
  if (more > 0) lane.Raise(more);
  if (more < 0) lane.Cut(-more, settings.grace);
}

bool IsMultiple(Duration now, std::chrono::seconds period) {
  return now % Duration(period) == Duration{0};
}

// GetExternalPerPodMetricReplicas.
int Recommend(std::int64_t metric, int replicas, const KedaSettings& settings) {
  const double ratio = static_cast<double>(metric) / (settings.lag_threshold * replicas);
  if (std::abs(1.0 - ratio) <= kTolerance) return replicas;
  const double needed = std::ceil(static_cast<double>(metric) / settings.lag_threshold);
  return static_cast<int>(std::min(needed, 1e9));
}

}  // namespace

KedaSettings KedaDefault() { return {}; }

KedaSettings KedaTuned() {
  KedaSettings settings;
  settings.polling_interval = std::chrono::seconds(1);
  settings.cooldown_period = std::chrono::seconds(60);
  settings.scale_down_window = std::chrono::seconds(60);
  return settings;
}

KedaScaler::KedaScaler(std::vector<KedaSettings> lanes) {
  for (const KedaSettings& settings : lanes) states_.push_back({.settings = settings});
}

void KedaScaler::Step(Duration now, std::vector<SimulatedLane>& lanes) {
  for (std::size_t i = 0; i < lanes.size(); ++i) {
    const KedaSettings& settings = states_[i].settings;
    if (IsMultiple(now, settings.polling_interval)) Poll(now, lanes[i], states_[i]);
    if (IsMultiple(now, settings.hpa_sync_period)) Sync(now, lanes[i], states_[i]);
  }
}

void KedaScaler::Poll(Duration now, SimulatedLane& lane, LaneState& state) {
  const KedaSettings& settings = state.settings;
  if (Metric(lane) > 0) {
    state.last_active = now;
    if (lane.asked() == 0) SetReplicas(lane, std::max(1, settings.replicas_min), settings);
  } else if (settings.replicas_min == 0 && lane.asked() > 0 &&
             now - state.last_active > Duration(settings.cooldown_period)) {
    SetReplicas(lane, 0, settings);
  }
}

void KedaScaler::Sync(Duration now, SimulatedLane& lane, LaneState& state) {
  const KedaSettings& settings = state.settings;
  const int current = lane.asked();
  // What there is when the HPA first looks counts as recommended.
  if (!std::exchange(state.begun, true)) state.recommended.push_back({now, current});
  if (current == 0) return;  // The HPA rests at zero; its past stays.
  const int least = std::max(1, settings.replicas_min);
  int desired = Recommend(Metric(lane), current, settings);

  // Stabilisation: the highest recommendation of the window, on the way down.
  const Duration window = settings.scale_down_window;
  std::erase_if(state.recommended, [&](const Past& past) { return past.at < now - window; });
  state.recommended.push_back({now, desired});
  int stabilized = desired;
  for (const Past& past : state.recommended) stabilized = std::max(stabilized, past.replicas);
  if (desired < current) desired = std::min(stabilized, current);

  std::erase_if(state.raised, [&](const Past& past) { return past.at <= now - kPolicyPeriod; });
  int period_start = current;
  for (const Past& past : state.raised) period_start -= past.replicas;
  const int up_max = std::max(period_start + kPodsPerPeriod, 2 * period_start);
  if (desired > current) desired = std::max(current, std::min(desired, up_max));

  desired = std::clamp(desired, least, std::max(least, settings.replicas_max));
  if (desired > current) state.raised.push_back({now, desired - current});
  SetReplicas(lane, desired, settings);
}

}  // namespace lanekeeper::simulate
