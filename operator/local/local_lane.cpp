#include "operator/local/local_lane.h"

#include <algorithm>
#include <tuple>
#include <utility>

namespace lanekeeper {

template <typename Predicate>
int LocalLane::Count(Predicate predicate) const {
  return static_cast<int>(std::ranges::count_if(workers_, predicate));
}

bool LocalLane::Outdated(const Worker& worker) const {
  return worker.lane_template->lane_hash != template_->lane_hash;
}

int LocalLane::Placed() const {
  return Count([](const Worker& worker) { return !worker.ending; });
}

// A quarter, as the Deployment has it.
int LocalLane::Surge() const { return template_->old_first ? 0 : (replicas_ + 3) / 4; }

bool LocalLane::GoesBefore(const Worker& a, const Worker& b) {
  const auto rank = [](const Worker& worker) {
    return std::tuple(!worker.marks.first_to_go, worker.phase == Phase::kReady);
  };
  if (rank(a) != rank(b)) return rank(a) < rank(b);
  return a.asked_at > b.asked_at;
}

bool LocalLane::Apply(LocalTemplate wanted, int replicas, MonotonicTime now) {
  const bool changed = !template_ || template_->lane_hash != wanted.lane_hash ||
                       template_->command != wanted.command || replicas_ != replicas;
  if (!changed) return false;
  template_ = std::make_shared<const LocalTemplate>(std::move(wanted));
  replicas_ = replicas;
  ++generation_;
  Converge(now);
  return true;
}

bool LocalLane::SetReplicas(int replicas, MonotonicTime now) {
  if (replicas_ == replicas) return false;
  replicas_ = replicas;
  ++generation_;
  Converge(now);
  return true;
}

void LocalLane::Remove(MonotonicTime now) {
  removed_ = true;
  replicas_ = 0;
  Converge(now);
}

bool LocalLane::Mark(const std::string& name, const WorkerMarks& marks) {
  for (Worker& worker : workers_) {
    if (worker.name != name || worker.ending) continue;
    worker.marks = marks;
    return true;
  }
  return false;
}

void LocalLane::SetPhase(Worker& worker, Phase phase, MonotonicTime now) {
  if (worker.phase == phase) return;
  worker.phase = phase;
  worker.since = now;
  if (phase == Phase::kReady && !worker.cold_start) {
    worker.cold_start =
        std::chrono::duration_cast<std::chrono::milliseconds>(now - worker.asked_at);
  }
}

void LocalLane::See(const std::vector<ReportedWorker>& reported, MonotonicTime now) {
  for (Worker& worker : workers_) {
    const ReportedWorker* said = FindWorker(reported, worker.name);
    // What its last process said does not make this one ready.
    const bool ready = worker.has_process && said != nullptr &&
                       said->heard_at >= worker.started_at && said->state == WorkerState::kRunning;
    if (ready) {
      SetPhase(worker, Phase::kReady, now);
    } else if (worker.phase == Phase::kReady) {
      SetPhase(worker, Phase::kNotReady, now);
    }
  }
  if (template_) Converge(now);
}

void LocalLane::Converge(MonotonicTime now) {
  // A rollout may have a surge; that is not a surplus.
  const bool outdated =
      Count([&](const Worker& worker) { return !worker.ending && Outdated(worker); }) > 0;
  ReleaseSurplus(outdated ? replicas_ + Surge() : replicas_);
  EndOutdated();
  AddMissing(now);
  // Those that never had a process have nothing to end.
  std::erase_if(workers_, [](const Worker& w) { return w.ending && !w.has_process; });
}

void LocalLane::ReleaseSurplus(int placed_max) {
  if (replicas_ == 0) placed_max = 0;
  for (int surplus = Placed() - placed_max; surplus > 0; --surplus) {
    Worker* first = nullptr;
    for (Worker& worker : workers_) {
      if (!worker.ending && (first == nullptr || GoesBefore(worker, *first))) first = &worker;
    }
    End(*first);
  }
}

// As many old ones as new ones stand in for; with old_first, one more. Those first that are of no
// use anyway.
void LocalLane::EndOutdated() {
  const int new_unready = Count([&](const Worker& worker) {
    return !worker.ending && !Outdated(worker) && worker.phase != Phase::kReady;
  });
  const int available_min = template_->old_first ? std::max(0, replicas_ - 1) : replicas_;
  for (int dispensable = Placed() - available_min - new_unready; dispensable > 0; --dispensable) {
    Worker* first = nullptr;
    for (Worker& worker : workers_) {
      if (worker.ending || !Outdated(worker)) continue;
      if (first == nullptr || GoesBefore(worker, *first)) first = &worker;
    }
    if (first == nullptr) return;
    End(*first);
  }
}

void LocalLane::AddMissing(MonotonicTime now) {
  // With old_first, what an old one holds is free only when it has ended.
  const int in_the_way = template_->old_first ? Count([&](const Worker& worker) {
    return worker.ending && worker.has_process && Outdated(worker);
  })
                                              : 0;
  int current = Count([&](const Worker& worker) { return !worker.ending && !Outdated(worker); });
  int places = replicas_ + Surge() - Placed() - in_the_way;
  // Without a rollout there is no surge: `current` stops at the number.
  for (; current < replicas_ && places > 0; ++current, --places) {
    workers_.push_back({.name = new_name_(),
                        .lane_template = template_,
                        .since = now,
                        .asked_at = now,
                        .start_due = now});
  }
}

std::vector<WorkerOrder> LocalLane::TakeOrders(MonotonicTime now) {
  std::vector<WorkerOrder> orders;
  for (Worker& worker : workers_) {
    if (!worker.ending) {
      if (worker.has_process || now < worker.start_due) continue;
      worker.has_process = true;
      worker.started_at = now;
      orders.push_back({WorkerOrder::What::kStart, worker.name, worker.lane_template});
    } else if (!worker.terminated) {
      worker.terminated = true;
      worker.kill_due = now + worker.lane_template->command.grace;
      orders.push_back({WorkerOrder::What::kTerminate, worker.name, nullptr});
    } else if (!worker.killed && now >= worker.kill_due) {
      worker.killed = true;
      orders.push_back({WorkerOrder::What::kKill, worker.name, nullptr});
    }
  }
  return orders;
}

void LocalLane::OnEnded(const std::string& name, MonotonicTime now) {
  const auto worker = std::ranges::find(workers_, name, &Worker::name);
  if (worker == workers_.end()) return;
  if (worker->ending) {
    workers_.erase(worker);
  } else {
    worker->has_process = false;
    if (now - worker->started_at >= kRestartForgiven) worker->deaths = 0;
    worker->start_due = now + kRestartBackoff.After(++worker->deaths);
    if (worker->phase == Phase::kReady) SetPhase(*worker, Phase::kNotReady, now);
  }
  if (template_) Converge(now);
}

std::optional<MonotonicTime> LocalLane::NextDue() const {
  std::optional<MonotonicTime> due;
  const auto keep = [&due](MonotonicTime at) { due = due ? std::min(*due, at) : at; };
  for (const Worker& worker : workers_) {
    if (!worker.ending) {
      if (!worker.has_process) keep(worker.start_due);
    } else if (!worker.terminated) {
      keep(MonotonicTime::min());
    } else if (!worker.killed) {
      keep(worker.kill_due);
    }
  }
  return due;
}

WorkloadState LocalLane::State() const {
  WorkloadState state{.replicas = replicas_, .generation = generation_};
  if (template_) state.lane_hash = template_->lane_hash;
  for (const Worker& worker : workers_) {
    if (worker.ending) continue;
    ++state.placed;
    if (worker.phase == Phase::kReady) ++state.ready;
    if (Outdated(worker)) state.rolling = true;
  }
  return state;
}

Crew LocalLane::Workers() const {
  Crew crew;
  for (const Worker& worker : workers_) {
    if (worker.ending) {
      crew.ending.push_back({worker.name, worker.marks});
    } else {
      crew.placed.push_back({.name = worker.name,
                             .phase = worker.phase,
                             .marks = worker.marks,
                             .since = worker.since,
                             .cold_start = worker.cold_start});
    }
  }
  std::ranges::sort(crew.placed, {}, &PlacedWorker::name);
  std::ranges::sort(crew.ending, {}, &EndingWorker::name);
  return crew;
}

}  // namespace lanekeeper
