// The heart of a worker: fetch → lease → handle → settle, in a fixed number of slots.
//
//   fetch thread ─▶ slot threads (one job each) ─▶ JobSource
//   lease keeper: renews leases, ends jobs whose time is over, sends reports
//
//   kRunning ─BeginStop─▶ kDraining ─every thread through─▶ kStopped
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "worker-runtime/base/clock.h"
#include "worker-runtime/job/handler_registry.h"
#include "worker-runtime/job/settlement.h"
#include "worker-runtime/job/worker_report.h"
#include "worker-runtime/runner/job_source.h"
#include "worker-runtime/runner/runner_metrics.h"
#include "worker-runtime/runner/running_job.h"
#include "worker-runtime/runner/settler.h"

namespace lanekeeper::runner {

struct RunnerOptions {
  std::string worker;  // Its name in reports.
  int slots = 1;       // >= 1.
  SettlementPolicy policy;
  RunningJobLimits limits;
  std::chrono::milliseconds grace{40000};  // From BeginStop to the end of the process.
  std::chrono::milliseconds report_interval = kWorkerReportInterval;
  std::chrono::milliseconds fetch_timeout{2000};  // Of one call; it is interrupted when needed.
  SettlerOptions settler;
};

// When what happens to a worker that has to be gone `grace` after it was told.
struct StopPlan {
  std::chrono::milliseconds stop_handlers;  // Until then running jobs just go on.
  std::chrono::milliseconds give_up;        // Then what still runs is given back under it.
};
// Pure. Leaves handlers up to 8 s to stop (a child process has 5 of them until SIGKILL), and the
// last moments to the connection. grace > 0.
StopPlan PlanStop(std::chrono::milliseconds grace);

class Runner {
 public:
  // Called on the lease keeper's thread, and in Abandon: on each change, at most ten times a
  // second, and every report_interval. Must not block.
  using Reporter = std::function<void(const WorkerReport&)>;

  // Everything handed in outlives this.
  Runner(RunnerOptions options, const HandlerRegistry& handlers, JobSource& source,
         RunnerMetrics& metrics, Reporter reporter);
  // Stops, and waits for every handler to return.
  ~Runner();
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  // Once.
  void Start();

  // Fetches no more, gives back what no handler has, lets running jobs go on; by PlanStop, tells
  // them to stop. Returns at once; idempotent.
  void BeginStop();
  // Every job is settled and every thread through its work.
  bool Stopped() const;
  // The plan's give_up moment has come. False before BeginStop.
  bool TimeToGiveUp() const;
  // Gives back the jobs whose handlers did not stop; returns how many. The caller ends the process
  // next: the handlers are still running.
  int Abandon();

  // Why no job would be fetched now; empty = ready.
  std::string NotReady() const;
  // No slot is of use any more: the process has to be started anew.
  bool EverySlotStuck() const;

 private:
  void RunFetch();
  void RunSlot(std::size_t slot);
  void RunLeaseKeeper();

  void Fetch(int free_slots);
  void GiveBackUnstarted(std::vector<Received> unstarted);
  std::optional<Received> NextReceived();
  void RunJob(std::size_t slot, Received received);
  Settlement Handle(RunningJob& running, Job& job, const Handler& handler);
  void CountSettled(const std::string& id, const Settlement& settlement, Settled settled);
  // What becomes of a message that no handler will see; nothing when `handler` has to run.
  std::optional<Settlement> SettlementWithoutRun(const JobMessage& message,
                                                 const Result<JobHead>& head,
                                                 const Handler* handler);
  // Precondition of both: mutex_ is held.
  WorkerReport Report() const;
  void ReportSoon();
  void ThreadThrough();

  const RunnerOptions options_;
  const StopPlan stop_plan_;
  const HandlerRegistry& handlers_;
  JobSource& source_;
  RunnerMetrics& metrics_;
  const Reporter reporter_;
  Settler settler_;

  mutable std::mutex mutex_;
  std::condition_variable work_;                      // Slots: something to run, or the end.
  std::condition_variable room_;                      // Fetch thread: a free slot, or the end.
  std::condition_variable watch_;                     // Lease keeper: something changed.
  std::deque<Received> received_;                     // Not started; never more than free slots.
  std::vector<std::shared_ptr<RunningJob>> running_;  // By slot; null = free.
  int free_slots_;
  int asked_ = 0;         // Slots the running Fetch was called for; 0 = none runs.
  int threads_left_ = 0;  // Of fetch and slot threads.
  bool keeper_through_ = false;
  bool report_due_ = true;
  std::optional<MonotonicTime> stop_began_;
  std::string fetch_error_;
  bool fetched_once_ = false;
  std::int64_t done_ = 0;
  std::int64_t failed_ = 0;
  std::int64_t dead_ = 0;

  std::vector<std::thread> threads_;
};

}  // namespace lanekeeper::runner
