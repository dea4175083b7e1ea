// The workers of one lane as processes of this machine: which there are to be, in which order they
// come and go, and when one that died is started again. The ReplicaSet, Deployment and kubelet of
// local mode in one. Pure: the time is an argument, and processes are named, not touched.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "operator/control/ports.h"
#include "operator/local/worker_command.h"
#include "worker-runtime/base/backoff.h"

namespace lanekeeper {

inline constexpr Backoff kRestartBackoff{std::chrono::seconds(1), std::chrono::seconds(30)};
// A worker that ran so long has recovered: its next death is its first.
inline constexpr std::chrono::seconds kRestartForgiven{60};

struct LocalTemplate {
  std::string lane_hash;
  bool old_first = false;  // Old ones end before new ones come: they may need the same GPU.
  WorkerCommand command;
};

// What to do to one worker's process now.
struct WorkerOrder {
  enum class What {
    kStart,
    kTerminate,  // SIGTERM to the program.
    kKill,       // SIGKILL to everything it started.
  };
  What what = What::kStart;
  std::string worker;
  std::shared_ptr<const LocalTemplate> lane_template;  // Of kStart.
};

// One thread at a time.
class LocalLane {
 public:
  // `new_name` returns a name that no worker of the lane has.
  explicit LocalLane(std::function<std::string()> new_name) : new_name_(std::move(new_name)) {}

  // The wanted state. True: it was another one before.
  bool Apply(LocalTemplate wanted, int replicas, MonotonicTime now);
  bool SetReplicas(int replicas, MonotonicTime now);
  // For good: all get their grace, and nothing is started any more.
  void Remove(MonotonicTime now);
  bool removed() const { return removed_; }
  // The marks of a worker that was not told to end; false: there is no such one.
  bool Mark(const std::string& worker, const WorkerMarks& marks);

  // What the workers said last, by name. Readiness follows: a worker is ready when it said since
  // its start that it runs.
  void See(const std::vector<ReportedWorker>& reported, MonotonicTime now);
  // Each order is given once, and must be carried out or answered with OnEnded.
  std::vector<WorkerOrder> TakeOrders(MonotonicTime now);
  // The process is gone, or could not be started.
  void OnEnded(const std::string& worker, MonotonicTime now);
  // When TakeOrders has something to give without any news; nothing: never.
  std::optional<MonotonicTime> NextDue() const;

  WorkloadState State() const;
  Crew Workers() const;
  // No process is left, and none is to come.
  bool Gone() const { return removed_ && workers_.empty(); }

 private:
  using Phase = PlacedWorker::Phase;
  struct Worker {
    std::string name;
    std::shared_ptr<const LocalTemplate> lane_template;
    WorkerMarks marks;
    Phase phase = Phase::kStarting;
    MonotonicTime since{};  // In this phase.
    MonotonicTime asked_at{};
    std::optional<std::chrono::milliseconds> cold_start;
    bool has_process = false;
    MonotonicTime started_at{};  // While it has one.
    int deaths = 0;              // In a row.
    MonotonicTime start_due{};   // While it has none.
    // Once it was told to end.
    bool ending = false;
    bool terminated = false;
    bool killed = false;
    MonotonicTime kill_due{};
  };

  // Brings placed workers to what is wanted.
  void Converge(MonotonicTime now);
  void ReleaseSurplus(int placed_max);
  void EndOutdated();
  void AddMissing(MonotonicTime now);
  void End(Worker& worker) { worker.ending = true; }
  void SetPhase(Worker& worker, Phase phase, MonotonicTime now);
  bool Outdated(const Worker& worker) const;
  template <typename Predicate>
  int Count(Predicate predicate) const;
  int Placed() const;
  int Surge() const;
  // Which of two placed workers goes first.
  static bool GoesBefore(const Worker& a, const Worker& b);

  std::function<std::string()> new_name_;
  std::shared_ptr<const LocalTemplate> template_;
  int replicas_ = 0;
  std::int64_t generation_ = 0;
  bool removed_ = false;
  std::vector<Worker> workers_;  // In the order they were asked for.
};

}  // namespace lanekeeper
