#include "operator/simulate/simulated_lane.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace lanekeeper::simulate {

SimulatedLane::SimulatedLane(Crewing crewing, std::vector<LaneJob> jobs, int workers)
    : crewing_(crewing), jobs_(std::move(jobs)), run_of_(jobs_.size()), waits_(jobs_.size()) {
  assert(crewing_.slots >= 1 && workers >= 0);
  Raise(workers);
  cold_starts_ = 0;
  for (const std::size_t worker : std::set<std::size_t>(starting_or_ready_)) {
    Happen({Duration{0}, 0, Kind::kReady, worker, 0, 0});
  }
  started_ = 0;
}

int SimulatedLane::TakeStarted() { return std::exchange(started_, 0); }

void SimulatedLane::Schedule(Duration at, Kind kind, std::size_t worker, std::size_t job,
                             std::uint32_t run) {
  events_.push({at, order_++, kind, worker, job, run});
}

void SimulatedLane::Count(Duration at) {
  worker_seconds_ += ToSeconds(at - counted_) * existing_;
  counted_ = at;
}

void SimulatedLane::AdvanceTo(Duration now) {
  assert(now >= now_);
  for (;;) {
    const bool arrival_due = next_arrival_ < jobs_.size() && jobs_[next_arrival_].arrival <= now;
    const bool event_due = !events_.empty() && events_.top().at <= now;
    if (!arrival_due && !event_due) break;
    if (event_due && (!arrival_due || events_.top().at <= jobs_[next_arrival_].arrival)) {
      const Event event = events_.top();
      events_.pop();
      now_ = event.at;
      Happen(event);
    } else {
      now_ = jobs_[next_arrival_].arrival;
      queue_.push_back(next_arrival_++);
    }
    StartJobs();
  }
  now_ = now;
  Count(now);
}

void SimulatedLane::Happen(const Event& event) {
  Worker& worker = workers_[event.worker];
  switch (event.kind) {
    case Kind::kReady:
      if (worker.state != State::kStarting) return;
      worker.state = State::kReady;
      --starting_;
      ++started_;
      free_ += crewing_.slots;
      idle_.insert(event.worker);
      free_slots_.insert(free_slots_.end(), static_cast<std::size_t>(crewing_.slots), event.worker);
      return;
    case Kind::kJobEnds:
      if (run_of_[event.job] == event.run) EndJob(event.worker, event.job);
      return;
    case Kind::kGraceEnds:
      if (worker.state == State::kEnding) CutJobs(event.worker);
      return;
  }
}

void SimulatedLane::StartJobs() {
  while (!queue_.empty() && !free_slots_.empty()) {
    const std::size_t worker = free_slots_.front();
    free_slots_.pop_front();
    if (workers_[worker].state != State::kReady) continue;
    const std::size_t job = queue_.front();
    queue_.pop_front();
    --free_;
    idle_.erase(worker);
    workers_[worker].running.push_back(job);
    ++running_;
    ++runs_;
    if (!waits_[job]) waits_[job] = now_ - jobs_[job].arrival;
    Schedule(now_ + jobs_[job].service, Kind::kJobEnds, worker, job, ++run_of_[job]);
  }
}

void SimulatedLane::EndJob(std::size_t index, std::size_t job) {
  Worker& worker = workers_[index];
  std::erase(worker.running, job);
  --running_;
  ++ended_;
  ++served_[ServiceBucketOf(jobs_[job].service)];
  if (worker.state == State::kReady) {
    ++free_;
    free_slots_.push_back(index);
    if (worker.running.empty()) idle_.insert(index);
  } else if (worker.running.empty()) {
    Count(now_);
    worker.state = State::kGone;
    --existing_;
  }
}

void SimulatedLane::CutJobs(std::size_t index) {
  Worker& worker = workers_[index];
  // The oldest job goes back first in line.
  std::sort(worker.running.rbegin(), worker.running.rend());
  for (const std::size_t job : worker.running) {
    ++run_of_[job];
    ++kills_;
    --running_;
    queue_.push_front(job);
  }
  worker.running.clear();
  Count(now_);
  worker.state = State::kGone;
  --existing_;
}

void SimulatedLane::Raise(int workers) {
  assert(workers >= 0);
  Count(now_);
  for (int i = 0; i < workers; ++i) {
    const std::size_t worker = workers_.size();
    workers_.emplace_back();
    starting_or_ready_.insert(worker);
    Schedule(now_ + crewing_.cold_start, Kind::kReady, worker);
  }
  asked_ += workers;
  existing_ += workers;
  starting_ += workers;
  cold_starts_ += workers;
}

void SimulatedLane::LetGo(std::size_t index, Duration grace) {
  Count(now_);
  Worker& worker = workers_[index];
  starting_or_ready_.erase(index);
  idle_.erase(index);
  --asked_;
  if (worker.state == State::kStarting) {
    --starting_;
  } else {
    free_ -= crewing_.slots - static_cast<int>(worker.running.size());
  }
  worker.state = State::kEnding;
  if (worker.running.empty()) {
    worker.state = State::kGone;
    --existing_;
  } else if (grace <= Duration{0}) {
    CutJobs(index);
  } else {
    Schedule(now_ + grace, Kind::kGraceEnds, index);
  }
}

int SimulatedLane::ReleaseIdle(int workers) {
  int left = workers;
  // Those that never started are the youngest: all cold starts take the same time.
  for (; left > 0 && starting_ > 0; --left) LetGo(*starting_or_ready_.rbegin(), Duration{0});
  while (left > 0 && !idle_.empty()) {
    LetGo(*idle_.rbegin(), Duration{0});
    --left;
  }
  return workers - left;
}

void SimulatedLane::Cut(int workers, Duration grace) {
  assert(workers <= asked_);
  for (int i = 0; i < workers; ++i) LetGo(*starting_or_ready_.rbegin(), grace);
  StartJobs();
}

}  // namespace lanekeeper::simulate
