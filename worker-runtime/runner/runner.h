// The heart of a worker: fetch → claim → handle → settle, in a fixed number of slots.
//
//   fetch thread ─▶ claim ─▶ slot threads (one handler each) ─▶ settle ─▶ JobSource
//   lease keeper: renews leases, ends jobs whose time is over, sends reports
//
// A job holds its slot from its arrival to its settlement. Claims of new jobs and the ends of jobs
// that went well are written without a thread waiting for the answer; everything else waits in a
// slot's thread, of which there are as many as jobs.
//
//   kRunning ⇄ kDraining ─nothing left─▶ kDrained        Drain, Undrain
//   kRunning, kDraining ─End─▶ kDraining ─nothing left─▶ kDrained, and no way back
//   any ─BeginStop─▶ kDraining ─every thread through─▶ kStopped
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "worker-runtime/base/clock.h"
#include "worker-runtime/job/handler_registry.h"
#include "worker-runtime/job/settlement.h"
#include "worker-runtime/job/worker_report.h"
#include "worker-runtime/runner/crash_board.h"
#include "worker-runtime/runner/intake.h"
#include "worker-runtime/runner/job_source.h"
#include "worker-runtime/runner/record_store.h"
#include "worker-runtime/runner/runner_metrics.h"
#include "worker-runtime/runner/running_job.h"
#include "worker-runtime/runner/settler.h"
#include "worker-runtime/runner/task_queue.h"

namespace lanekeeper::runner {

// When what happens to a worker that has to be gone some time after it was told.
struct StopPlan {
  std::chrono::milliseconds stop_handlers;  // Until then running jobs just go on.
  std::chrono::milliseconds give_up;        // Then what still runs is given back under it.
};
// Pure. For one that has to be gone after `grace`, > 0. Leaves handlers up to 8 s to stop (a child
// process has 5 of them until SIGKILL), and the last moments to the connection.
StopPlan PlanStop(std::chrono::milliseconds grace);

struct RunnerOptions {
  std::string worker;  // Its name in reports and records.
  int slots = 1;       // >= 1.
  SettlementPolicy policy;
  RunningJobLimits limits;
  StopPlan stop = PlanStop(std::chrono::seconds(40));  // From BeginStop on.
  std::chrono::milliseconds report_interval = kWorkerReportInterval;
  std::chrono::milliseconds report_pause{100};    // Changes inside it make one report.
  std::chrono::milliseconds fetch_timeout{2000};  // Of one call; it is interrupted when needed.
  SettlerOptions settler;
  CrashBoard* board = nullptr;  // Where running jobs are noted; null: nobody reads them.
};

class Runner {
 public:
  // Called on the lease keeper's thread, and in Abandon: at once when the state changed, otherwise
  // on each change, report_pause apart, and every report_interval. Must not block.
  using Reporter = std::function<void(const WorkerReport&)>;

  // Everything handed in outlives this. `records` is null exactly with tracking None.
  Runner(RunnerOptions options, const HandlerRegistry& handlers, JobSource& source,
         RecordStore* records, RunnerMetrics& metrics, Reporter reporter);
  // Stops, and waits for every handler to return.
  ~Runner();
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  // Once.
  void Start();

  // Fetches no more, gives back what no handler has, lets running jobs go on without a limit.
  // Undrain fetches again. Both return at once; idempotent; nothing after BeginStop.
  void Drain();
  void Undrain();
  // As Drain, for good: Undrain does nothing from then on. The caller stops this once Drained.
  void End();
  // End was called, and nothing is in hand or asked for.
  bool Ended() const;
  // Whether this process, `instance` in its records, has the job in hand and not given it up.
  bool Holds(std::string_view instance, std::string_view id) const;
  // The record of that job was written by somebody else: looks at it at once. As Holds; the handler
  // of a job that was cancelled is told to stop.
  bool CheckFence(std::string_view instance, std::string_view id) const;
  // As of now. kDrained only when nothing is in hand and nothing asked for.
  WorkerReport Report(bool with_types = false) const;
  // Hands the report as of now to `say`, never between the making and the saying of another one:
  // who hears both hears them in the order in which they were true.
  void ReportTo(const Reporter& say, bool with_types = false) const;

  // Fetches no more, gives back what no handler has, lets running jobs go on; by its StopPlan,
  // tells them to stop. Returns at once; idempotent.
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
  using JobHandle = std::shared_ptr<RunningJob>;

  // What a slot's thread does next for a job.
  struct Task {
    enum class Step {
      kAdmit,   // Look, decide, claim, and run it.
      kRun,     // It is claimed.
      kSettle,  // It ran; `decided` could not be told without waiting.
    };
    Step step = Step::kAdmit;
    JobHandle job;
    std::optional<JobRecord> tried = std::nullopt;  // kAdmit: see Intake::Admit.
    std::optional<Decided> decided = std::nullopt;  // kSettle.
  };

  void BeginDrain(bool for_good);
  void RunFetch();
  void RunSlot();
  void RunLeaseKeeper();

  void Fetch(int free_slots);
  void Receive(std::vector<Received> received);
  void Claim(const JobHandle& job, JobRecord claim);
  void Withdraw();
  void Do(Task task);
  void Run(const JobHandle& job);
  struct Handled {
    Outcome outcome;
    std::chrono::nanoseconds took;
  };
  Handled Handle(RunningJob& running, std::chrono::milliseconds timeout);
  // Tells what was decided, without waiting when nothing but success is likely.
  void Tell(const JobHandle& job, Decided decided);
  void Settle(const JobHandle& job, const Settlement& settlement,
              const std::optional<JobRecord>& record);
  void Through(const JobHandle& job, const Settlement& settlement, Settled settled);
  bool KeepsRecord(const RunningJob& job, const Settlement& settlement) const;
  bool HandlersMustStop() const;

  // That it has in hand and not given up; null when there is none.
  JobHandle FindJob(std::string_view instance, std::string_view id) const;

  // Precondition of all: mutex_ is held.
  bool AllThrough() const;
  void NoteState();
  WorkerState State() const;
  WorkerReport MakeReport(bool with_types) const;
  void ReportSoon();
  void ThreadThrough();

  const RunnerOptions options_;
  JobSource& source_;
  RecordStore* const records_;
  RunnerMetrics& metrics_;
  const Reporter reporter_;
  const std::string instance_;
  const Intake intake_;
  Settler settler_;

  TaskQueue<Task> tasks_;  // Never more than jobs_; closed when no more can come.

  mutable std::mutex said_mutex_;  // Around the making and the saying of a report; before mutex_.
  mutable std::mutex mutex_;
  std::condition_variable room_;   // Fetch thread: a free slot, or another state.
  std::condition_variable watch_;  // Lease keeper: something changed.
  // From arrival to settlement; never more than slots. Each knows its place (RunningJob::place).
  std::vector<JobHandle> jobs_;
  int asked_ = 0;                     // Slots the running Fetch was called for; 0 = none runs.
  int threads_left_ = 0;              // Of fetch and slot threads.
  std::atomic<bool> closing_{false};  // stop_began_ or draining_, readable without the lock.
  bool draining_ = false;
  bool ending_ = false;     // draining_ for good.
  bool withdrawn_ = false;  // Nothing is asked for.
  bool fetch_through_ = false;
  bool keeper_through_ = false;
  bool report_due_ = true;
  WorkerState reported_ = WorkerState::kRunning;  // In the last report.
  std::optional<MonotonicTime> stop_began_;
  std::string fetch_error_;
  bool fetched_once_ = false;
  std::int64_t done_ = 0;
  std::int64_t failed_ = 0;
  std::int64_t dead_ = 0;
  ServiceCounts service_{};
  TypeCounts types_;

  std::vector<std::thread> threads_;
};

}  // namespace lanekeeper::runner
