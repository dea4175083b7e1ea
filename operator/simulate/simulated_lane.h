// One lane's queue and workers, event by event: jobs come, wait for a free slot, run to their end;
// workers are asked for, start, and go. Who decides on their number is somebody else (scaler.h).
//
// Pure: the time is what AdvanceTo says. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <queue>
#include <set>
#include <vector>

#include "operator/simulate/trace.h"
#include "worker-runtime/job/service_times.h"

namespace lanekeeper::simulate {

struct LaneJob {
  Duration arrival{0};
  Duration service{0};
};

struct Crewing {
  int slots = 1;                                   // >= 1. Jobs that one worker runs at once.
  Duration cold_start = std::chrono::seconds(30);  // From being asked for to taking jobs.
};

class SimulatedLane {
 public:
  // `jobs` by arrival. `workers` are there, and ready, from the beginning.
  SimulatedLane(Crewing crewing, std::vector<LaneJob> jobs, int workers);

  // Everything that happens up to and at `now`, in order. Precondition: never goes back.
  void AdvanceTo(Duration now);

  // --- What can be seen of it.
  std::int64_t waiting() const { return static_cast<std::int64_t>(queue_.size()); }
  std::int64_t running() const { return running_; }
  std::int64_t arrivals() const { return static_cast<std::int64_t>(next_arrival_); }
  const ServiceCounts& served() const { return served_; }
  int asked() const { return asked_; }  // What the platform is asked for.
  int starting() const { return starting_; }
  int busy() const { return asked_ - starting_ - static_cast<int>(idle_.size()); }
  int existing() const { return existing_; }  // With those that were told to end and still run.
  Duration cold_start() const { return crewing_.cold_start; }
  int free_slots() const { return free_; }  // Of ready workers.
  // Workers that could take jobs for the first time since the last call.
  int TakeStarted();

  // --- What can be done to it, at the time of the last AdvanceTo.
  void Raise(int workers);
  // Lets up to `workers` go, without touching a job: those that never started first, then idle
  // ones, youngest first. Returns how many went.
  int ReleaseIdle(int workers);
  // Lets exactly `workers` go whoever is busy: those that never started first, then the youngest.
  // A running job may still end within `grace`; one that does not is cut there and goes back to the
  // front of the queue, to start again from its beginning.
  void Cut(int workers, Duration grace);

  // --- What came of it.
  bool done() const { return ended_ == jobs_.size(); }
  std::int64_t unfinished() const { return static_cast<std::int64_t>(jobs_.size() - ended_); }
  // Of each job, from its arrival to its first start; nothing while it has not started.
  const std::vector<std::optional<Duration>>& waits() const { return waits_; }
  double worker_seconds() const { return worker_seconds_; }  // From asked for to gone.
  std::int64_t cold_starts() const { return cold_starts_; }
  std::int64_t kills() const { return kills_; }  // Running jobs that were cut.
  std::int64_t runs() const { return runs_; }    // Starts of jobs: jobs + kills, at the end.

 private:
  enum class State { kStarting, kReady, kEnding, kGone };
  struct Worker {
    State state = State::kStarting;
    std::vector<std::size_t> running;  // Jobs.
  };
  enum class Kind { kReady, kJobEnds, kGraceEnds };
  struct Event {
    Duration at;
    std::uint64_t order;  // Of two at the same time, the one made first.
    Kind kind;
    std::size_t worker;
    std::size_t job;
    std::uint32_t run;  // Of the job: an end of a run that was cut means nothing.
    bool operator>(const Event& other) const {
      return at != other.at ? at > other.at : order > other.order;
    }
  };

  void Happen(const Event& event);
  void StartJobs();
  void EndJob(std::size_t worker, std::size_t job);
  void CutJobs(std::size_t worker);
  void LetGo(std::size_t worker, Duration grace);
  void Count(Duration at);
  void Schedule(Duration at, Kind kind, std::size_t worker, std::size_t job = 0,
                std::uint32_t run = 0);

  Crewing crewing_;
  std::vector<LaneJob> jobs_;
  Duration now_{0};
  std::size_t next_arrival_ = 0;
  std::deque<std::size_t> queue_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::uint64_t order_ = 0;

  std::vector<Worker> workers_;              // By age. Those that are gone stay as empty shells.
  std::set<std::size_t> starting_or_ready_;  // The platform's: youngest last.
  std::set<std::size_t> idle_;               // Ready, nothing running.
  std::deque<std::size_t> free_slots_;       // Of ready workers, the longest free first.
  int asked_ = 0;
  int existing_ = 0;
  int starting_ = 0;
  int free_ = 0;
  int started_ = 0;
  std::int64_t running_ = 0;

  ServiceCounts served_{};
  std::vector<std::uint32_t> run_of_;
  std::vector<std::optional<Duration>> waits_;
  std::size_t ended_ = 0;
  double worker_seconds_ = 0;
  Duration counted_{0};
  std::int64_t cold_starts_ = 0;
  std::int64_t kills_ = 0;
  std::int64_t runs_ = 0;
};

}  // namespace lanekeeper::simulate
