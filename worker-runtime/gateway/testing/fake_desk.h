// A Gateway and a JobDesk that say what they were told. For tests of the HTTP layer.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "worker-runtime/gateway/gateway.h"
#include "worker-runtime/gateway/job_desk.h"

namespace lanekeeper::gateway {

class FakeGateway final : public Gateway {
 public:
  // What is answered; by default every job is accepted as "job-<n>".
  std::function<Answer<Accepted>(const Submission&)> respond = [this](const Submission&) {
    return Accepted{.id = "LK_studio_media_short." + std::to_string(++count_) + ".abcdefgh",
                    .lane = {"studio", "media", "short"},
                    .sequence = static_cast<std::uint64_t>(count_),
                    .position = 3,
                    .eta = std::chrono::seconds(2)};
  };

  void Submit(const Caller& caller, std::string_view pool_namespace, std::string_view pool,
              Submission submission, Then<Accepted> then) override {
    Answer<Accepted> answer = tl::unexpected(Problem{});
    {
      const std::lock_guard lock(mutex_);
      answer = respond(submission);
      callers_.push_back(caller + "@" + std::string(pool_namespace) + "/" + std::string(pool));
      submissions_.push_back(std::move(submission));
    }
    then(std::move(answer));
  }
  std::optional<LaneGauge> Gauge(const LaneKey&) override {
    return LaneGauge{.depth = 7, .waiting = 3, .drained_per_second = 1.5};
  }
  GatewayCounts Counts() const override { return {}; }

  std::vector<Submission> submissions() const {
    const std::lock_guard lock(mutex_);
    return submissions_;
  }
  std::vector<std::string> callers() const {
    const std::lock_guard lock(mutex_);
    return callers_;
  }

 private:
  mutable std::mutex mutex_;
  int count_ = 0;
  std::vector<Submission> submissions_;
  std::vector<std::string> callers_;
};

class FakeDesk final : public JobDesk {
 public:
  void Put(JobView job) {
    const std::lock_guard lock(mutex_);
    jobs_[job.id] = job;
    for (auto& [id, watch] : watches_) {
      if (watch.first == job.id) watch.second(job);
    }
  }

  Answer<LaneKey> LaneOfJob(std::string_view id) const override {
    const std::optional<JobPlace> place = PlaceOfJobId(id);
    const std::optional<LaneKey> lane = place ? LaneOfStream(place->stream) : std::nullopt;
    if (!lane) return Refuse(ProblemType::kJobNotFound, "the id names no pool");
    return *lane;
  }
  void Find(std::string_view, std::string_view, std::string_view id, Then<JobView> then) override {
    Answer<JobView> answer = Refuse(ProblemType::kJobNotFound, "there is no such job");
    {
      const std::lock_guard lock(mutex_);
      if (const auto found = jobs_.find(std::string(id)); found != jobs_.end()) {
        answer = found->second;
      }
    }
    then(std::move(answer));
  }
  Answer<std::unique_ptr<JobWatch>> Watch(const JobView& job, std::uint64_t after,
                                          std::function<void(const JobView&)> changed) override {
    const std::lock_guard lock(mutex_);
    if (watches_.size() >= watches_max) {
      return Refuse(ProblemType::kTooManyRequests, "too many watches", std::chrono::seconds(1));
    }
    const JobView& now = jobs_[job.id];
    if (now.revision > after || (now.revision == 0 && after == 0)) changed(now);
    watches_.emplace(++last_watch_, std::pair(job.id, std::move(changed)));
    return std::make_unique<Ticket>(*this, last_watch_);
  }
  std::size_t Watches() const override {
    const std::lock_guard lock(mutex_);
    return watches_.size();
  }
  void Cancel(const JobView& job, std::string_view by, Then<JobView> then) override {
    cancelled_by = by;
    JobView cancelled = job;
    if (Ended(job.state)) return then(Refuse(ProblemType::kJobFinished, "it has ended"));
    cancelled.state = ViewState::kCancelled;
    then(cancelled);
  }
  Answer<JobList> List(const PoolBrief&, const JobListQuery& query) override {
    const std::lock_guard lock(mutex_);
    last_query = query;
    JobList list{.next = "more"};
    for (const auto& [id, job] : jobs_) list.jobs.push_back(job);
    return list;
  }
  Answer<void> Pause(const LaneKey&, const LanePause& pause) override {
    last_pause = pause;
    return {};
  }
  Answer<void> Resume(const LaneKey&) override {
    last_pause.reset();
    return {};
  }

  std::size_t watches_max = 100;
  std::string cancelled_by;
  JobListQuery last_query;
  std::optional<LanePause> last_pause;

 private:
  class Ticket final : public JobWatch {
   public:
    Ticket(FakeDesk& desk, int number) : desk_(desk), number_(number) {}
    ~Ticket() override {
      const std::lock_guard lock(desk_.mutex_);
      desk_.watches_.erase(number_);
    }

   private:
    FakeDesk& desk_;
    const int number_;
  };

  mutable std::mutex mutex_;
  std::map<std::string, JobView> jobs_;
  int last_watch_ = 0;
  std::map<int, std::pair<std::string, std::function<void(const JobView&)>>> watches_;
};

}  // namespace lanekeeper::gateway
