#include "operator/jetstream/jetstream_lane_probe.h"

#include <utility>

#include "operator/jetstream/probe_loop.h"

namespace lanekeeper {

JetStreamLaneProbe::JetStreamLaneProbe(nats::Connection& connection, const Clock& clock,
                                       LaneProbeOptions options)
    : loop_(std::make_unique<Loop>(connection, clock, options)) {}

JetStreamLaneProbe::~JetStreamLaneProbe() = default;

void JetStreamLaneProbe::Start(std::function<void(const LaneKey&)> on_change) {
  loop_->Start(std::move(on_change));
}
void JetStreamLaneProbe::Stop() { loop_->Stop(); }
void JetStreamLaneProbe::Probe(const ProbedLane& lane) { loop_->Post(AddLane{lane}); }
void JetStreamLaneProbe::Forget(const LaneKey& key) { loop_->Post(RemoveLane{key}); }
LaneSample JetStreamLaneProbe::Latest(const LaneKey& key) const { return loop_->Latest(key); }
std::vector<ReportedWorker> JetStreamLaneProbe::Workers(const LaneKey& key) const {
  return loop_->Workers(key);
}
ServiceCounts JetStreamLaneProbe::Served(const LaneKey& key) const { return loop_->Served(key); }
void JetStreamLaneProbe::Tell(const LaneKey& key, const std::string& worker,
                              std::string_view request) {
  loop_->Tell(key, worker, request);
}
LaneProbeStats JetStreamLaneProbe::stats() const { return loop_->stats(); }

}  // namespace lanekeeper
