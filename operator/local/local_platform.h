// The Platform whose workers are child processes of this one: local mode.
//
// A worker runs the command of its lane's template with the lane's settings in its environment. It
// is told to end by SIGTERM and killed, with all it started, when its grace is over; one that dies
// is started again, later and later while it keeps dying. None outlives this process, even when
// that is killed. local_lane.h has the rules, one thread here the processes.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "operator/control/ports.h"
#include "operator/local/local_lane.h"
#include "operator/local/output_log.h"
#include "operator/local/status_files.h"
#include "worker-runtime/base/clock.h"
#include "worker-runtime/handlers/process.h"

namespace lanekeeper {

struct LocalPlatformOptions {
  std::string nats_url;       // For the workers.
  std::string status_folder;  // Both exist.
  std::string logs_folder;
  // Looked at before PATH for the workers' programs; empty: none.
  std::string programs_folder;
  // The workers that reported themselves, by name: LaneProbe::Workers. Any thread.
  std::function<std::vector<ReportedWorker>(const LaneKey&)> reported;
  // Says once for each pool what of its manifest means nothing here. Reconcile thread.
  std::function<void(const PoolKey&, const std::string& sentence)> on_left_out;
  // An event for people; empty: dropped. Reconcile thread.
  std::function<void(const PoolKey&, const PoolEvent&)> on_event;
  // The pool was let go: its last worker has ended. Reconcile thread.
  std::function<void(const PoolKey&)> on_let_go;
};

// Start, Stop, EndAll and KillAll: by one thread. The Platform calls: by the reconcile thread.
class LocalPlatform final : public Platform {
 public:
  // `clock` must outlive this.
  LocalPlatform(const Clock& clock, LocalPlatformOptions options);
  ~LocalPlatform() override;

  // `on_change` runs on the platform's thread when the WorkloadState or the Crew of a lane of that
  // pool changed otherwise than by a call.
  void Start(std::function<void(const PoolKey&)> on_change);
  // Kills what is left, and waits. Idempotent.
  void Stop();

  // All workers get SIGTERM and their grace; nothing is started any more. Call it when nobody calls
  // the Platform any more.
  void EndAll();
  void KillAll();
  // Processes that have not ended yet. Any thread.
  int Alive() const;

  Result<WorkloadState> Observe(const LaneKey& key) override;
  // kInvalid when the template's command cannot be started here; what runs goes on.
  Result<WorkloadState> Apply(const WorkerPool& pool, const Lane& lane, int replicas) override;
  Result<WorkloadState> SetReplicas(const LaneKey& key, int replicas) override;
  Result<Crew> Workers(const LaneKey& key) override;
  Result<void> Mark(const LaneKey& key, const std::string& worker,
                    const WorkerMarks& marks) override;
  Result<std::vector<LaneKey>> List(const PoolKey& key) override;
  Result<void> Remove(const LaneKey& key) override;
  // Kept in a file; found by the next process, too.
  Result<void> WriteStatus(const WorkerPool& pool, const PoolStatus& status) override;
  Result<PoolStatus> ReadStatus(const PoolKey& key) override;
  Result<void> AddFinalizer(const WorkerPool& pool) override;
  Result<void> RemoveFinalizer(const WorkerPool& pool) override;
  void Publish(const WorkerPool& pool, const PoolEvent& event) override;

 private:
  // What one worker's process is to the thread.
  struct Child {
    LaneKey lane;
    handlers::Process process;
    OutputLog log;
  };
  struct Seen {
    WorkloadState state;
    Crew crew;
    bool operator==(const Seen&) const = default;
  };
  struct Tenant {
    LocalLane lane;
    Seen announced;
  };

  void Run();
  // Carries out what the lanes order; each returns whether there was anything.
  bool CarryOutOrders();
  bool ReadAndReap();
  void StartWorker(const LaneKey& key, const WorkerOrder& order);
  void SeeReports();
  void AnnounceChanges();
  void Wait();
  void WakeUp() const;
  std::vector<LaneKey> LanesNow() const;
  std::string NewName(const LaneKey& key);
  std::string LogPathOf(const std::string& worker) const;
  // Finds the lane; kRetryable while it is being removed.
  Result<LocalLane*> FindLane(const LaneKey& key);
  Result<WorkloadState> StateAfterCall(const LaneKey& key);

  const Clock& clock_;
  const LocalPlatformOptions options_;
  const std::string path_;                    // A PATH, for programs and workers.
  const std::vector<std::string> inherited_;  // Our environment.
  std::function<void(const PoolKey&)> on_change_;
  handlers::Fd wake_up_;

  mutable std::mutex mutex_;
  std::map<LaneKey, Tenant> lanes_;
  std::minstd_rand random_;
  int alive_ = 0;
  bool ending_ = false;  // EndAll was called.
  bool killing_ = false;
  bool stopping_ = false;

  // Reconcile thread only.
  StatusFiles statuses_;
  std::set<PoolKey> finalizers_;
  std::set<std::pair<PoolKey, std::string>> said_;

  std::map<std::string, Child> children_;  // By worker; the platform's thread only.
  std::thread thread_;
};

}  // namespace lanekeeper
