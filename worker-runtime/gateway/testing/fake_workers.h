// Workers and decisions that are what the test says. For tests of the HTTP layer.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "worker-runtime/gateway/decisions.h"
#include "worker-runtime/gateway/worker_desk.h"

namespace lanekeeper::gateway {

class FakeWorkers final : public WorkerDesk {
 public:
  void Put(const LaneKey& lane, ReportedWorker worker) {
    const std::lock_guard lock(mutex_);
    lanes_[lane].push_back(std::move(worker));
  }

  std::optional<std::chrono::milliseconds> P95(std::string_view, std::string_view,
                                               std::string_view) const override {
    return std::nullopt;
  }
  std::vector<ReportedWorker> Workers(const LaneKey& lane) const override {
    const std::lock_guard lock(mutex_);
    const auto found = lanes_.find(lane);
    return found == lanes_.end() ? std::vector<ReportedWorker>{} : found->second;
  }
  Answer<WorkerReport> End(const LaneKey& lane, const std::string& worker) override {
    const std::lock_guard lock(mutex_);
    if (problem) return tl::unexpected(*problem);
    ended.push_back(ToString(lane) + "/" + worker);
    return WorkerReport{
        .worker = worker, .state = WorkerState::kDraining, .ending = true, .running = 1};
  }

  std::optional<Problem> problem;  // Of End.
  std::vector<std::string> ended;

 private:
  mutable std::mutex mutex_;
  std::map<LaneKey, std::vector<ReportedWorker>> lanes_;
};

class FakeDecisions final : public DecisionLog {
 public:
  Answer<std::vector<Decision>> Last(const LaneKey& lane, std::size_t n) override {
    const std::lock_guard lock(mutex_);
    asked.push_back(ToString(lane) + " " + std::to_string(n));
    if (problem) return tl::unexpected(*problem);
    return decisions;
  }

  std::vector<std::string> asked;
  std::optional<Problem> problem;
  std::vector<Decision> decisions;

 private:
  std::mutex mutex_;
};

}  // namespace lanekeeper::gateway
