#include "worker-runtime/gateway/job_desk.h"

#include <utility>

#include "worker-runtime/base/clock.h"
#include "worker-runtime/gateway/job_desk_cancel.h"
#include "worker-runtime/gateway/job_desk_core.h"
#include "worker-runtime/gateway/job_desk_find.h"
#include "worker-runtime/gateway/job_desk_list.h"
#include "worker-runtime/gateway/job_desk_pause.h"
#include "worker-runtime/gateway/job_desk_watch.h"

namespace lanekeeper::gateway {
namespace {

class NatsJobDesk final : public JobDesk {
 public:
  NatsJobDesk(nats::Connection& connection, const PoolDirectory& pools, JobDeskOptions options)
      : core_(connection, pools, options), hub_(WatchHub::Start(core_)) {}
  ~NatsJobDesk() override { hub_->Stop(); }

  Answer<LaneKey> LaneOfJob(std::string_view id) const override {
    const auto place = PlaceOfJobId(id);
    if (place) {
      if (const auto lane = LaneOfStream(place->stream)) return *lane;
      for (const auto& pool : core_.pools.List()) {
        for (const LaneBrief& lane : pool->lanes) {
          if (lane.stream == place->stream) return pool->KeyOf(lane);
        }
      }
    }
    return Refuse(ProblemType::kJobNotFound,
                  "the id \"" + std::string(id.substr(0, 64)) +
                      "\" does not say which pool the job is of; ask for "
                      "/v1/pools/{namespace}/{pool}/jobs/{id}");
  }

  void Find(std::string_view pool_namespace, std::string_view pool, std::string_view id,
            Then<JobView> then) override {
    FindJob(core_, pool_namespace, pool, id, {.lane = {}},
            [then = std::move(then)](Answer<Found> found) {
              if (!found) return then(tl::unexpected(std::move(found).error()));
              then(std::move(found->view));
            });
  }

  Answer<std::unique_ptr<JobWatch>> Watch(const JobView& job, std::uint64_t after,
                                          std::function<void(const JobView&)> changed) override {
    return hub_->Watch(job, after, std::move(changed));
  }
  std::size_t Watches() const override { return hub_->Watches(); }

  void Cancel(const JobView& job, std::string_view by, Then<JobView> then) override {
    CancelJob(core_, job, by, std::move(then));
  }

  Answer<JobList> List(const PoolBrief& pool, const JobListQuery& query) override {
    return ListJobs(core_, pool, query);
  }

  Answer<void> Pause(const LaneKey& lane, const LanePause& pause) override {
    return PauseLane(core_, lane, pause, SystemClock().WallNow());
  }
  Answer<void> Resume(const LaneKey& lane) override { return ResumeLane(core_, lane); }

 private:
  DeskCore core_;
  const std::shared_ptr<WatchHub> hub_;
};

}  // namespace

std::unique_ptr<JobDesk> JobDesk::Start(nats::Connection& connection, const PoolDirectory& pools,
                                        JobDeskOptions options) {
  return std::make_unique<NatsJobDesk>(connection, pools, options);
}

}  // namespace lanekeeper::gateway
