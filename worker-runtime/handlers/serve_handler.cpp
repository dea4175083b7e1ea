#include "worker-runtime/handlers/serve_handler.h"

#include <algorithm>
#include <cassert>
#include <condition_variable>
#include <deque>
#include <future>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "worker-runtime/base/backoff.h"
#include "worker-runtime/base/clock.h"
#include "worker-runtime/base/duration.h"
#include "worker-runtime/base/log.h"
#include "worker-runtime/handlers/kept_process.h"

namespace lanekeeper::handlers {
namespace {

using std::chrono::milliseconds;

constexpr Backoff kRestart{.initial = milliseconds(100), .max = std::chrono::seconds(30)};
constexpr milliseconds kEndPollInterval{10};

using KeptProcessPtr = std::unique_ptr<KeptProcess>;

// Starts processes on a thread of its own: a process dies with the thread that started it, and
// these have to outlive the job that first needed them. Any thread.
class Starter {
 public:
  ~Starter() {
    {
      const std::lock_guard lock(mutex_);
      ending_ = true;
    }
    wanted_.notify_one();
    if (thread_.joinable()) thread_.join();
  }

  Result<KeptProcessPtr> Start(const KeptProcessOptions& options) {
    std::packaged_task<Result<KeptProcessPtr>()> task(
        [&options] { return KeptProcess::Start(options); });
    auto started = task.get_future();
    {
      const std::lock_guard lock(mutex_);
      // Not earlier: it has to come after the worker has blocked SIGTERM for all threads.
      if (!thread_.joinable()) thread_ = std::thread([this] { Run(); });
      tasks_.push_back(std::move(task));
    }
    wanted_.notify_one();
    return started.get();
  }

 private:
  void Run() {
    std::unique_lock lock(mutex_);
    while (true) {
      wanted_.wait(lock, [this] { return ending_ || !tasks_.empty(); });
      if (tasks_.empty()) return;
      auto task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
      lock.lock();
    }
  }

  std::mutex mutex_;
  std::condition_variable wanted_;
  std::deque<std::packaged_task<Result<KeptProcessPtr>()>> tasks_;
  bool ending_ = false;
  std::thread thread_;
};

// The processes that have no job, and when another may be started. Any thread.
class KeptProcesses {
 public:
  explicit KeptProcesses(KeptProcessOptions options) : options_(std::move(options)) {}

  ~KeptProcesses() {
    for (const KeptProcessPtr& process : idle_) process->AskToEnd();
    const MonotonicTime until = SystemClock().Now() + options_.term_grace;
    const auto all_ended = [this] {
      return std::all_of(idle_.begin(), idle_.end(),
                         [](const KeptProcessPtr& process) { return process->Ended(); });
    };
    while (!all_ended() && SystemClock().Now() < until) {
      std::this_thread::sleep_for(kEndPollInterval);
    }
  }

  // One that is still good, the last used first; null when there is none.
  KeptProcessPtr TakeIdle() {
    while (true) {
      KeptProcessPtr process;
      {
        const std::lock_guard lock(mutex_);
        if (idle_.empty()) return nullptr;
        process = std::move(idle_.back());
        idle_.pop_back();
      }
      if (process->StillGood()) return process;
      NoteBroken(*process);
    }
  }

  void PutBack(KeptProcessPtr process) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(process));
  }

  // Null when it is too early for another start.
  Result<KeptProcessPtr> Start() {
    {
      const std::lock_guard lock(mutex_);
      if (SystemClock().Now() < start_not_before_) return nullptr;
    }
    return starter_.Start(options_);
  }

  void NoteGood() {
    const std::lock_guard lock(mutex_);
    broken_in_a_row_ = 0;
  }

  void NoteBroken(const KeptProcess& process) {
    const std::lock_guard lock(mutex_);
    const milliseconds delay = kRestart.After(++broken_in_a_row_);
    start_not_before_ = SystemClock().Now() + delay;
    log::Warning("serve", "process_ended",
                 {{"why", process.why()}, {"restart_in_ms", delay.count()}});
  }

 private:
  const KeptProcessOptions options_;
  Starter starter_;  // Before the processes: it ends after them.
  std::mutex mutex_;
  std::vector<KeptProcessPtr> idle_;
  int broken_in_a_row_ = 0;
  MonotonicTime start_not_before_{};
};

// A process that is ready, or the outcome of a job that got none.
tl::expected<KeptProcessPtr, Outcome> TakeReady(KeptProcesses& processes, const Job& job,
                                                milliseconds start_deadline) {
  const auto stop_requested = [&job] { return job.StopRequested(); };
  const MonotonicTime until = SystemClock().Now() + start_deadline;
  Failed failed{"no process was ready within " + FormatDuration(start_deadline), "start"};
  while (!stop_requested()) {
    KeptProcessPtr process = processes.TakeIdle();
    if (process == nullptr) {
      if (SystemClock().Now() >= until) return tl::unexpected<Outcome>(std::move(failed));
      Result<KeptProcessPtr> started = processes.Start();
      if (!started) return tl::unexpected<Outcome>(Failed{started.error().message, "start"});
      process = *std::move(started);
    }
    if (process == nullptr) {
      std::this_thread::sleep_for(kStopPollInterval);
      continue;
    }
    switch (process->AwaitReady(stop_requested)) {
      case KeptProcess::Readiness::kReady:
        return process;
      case KeptProcess::Readiness::kStopped:
        processes.PutBack(std::move(process));  // What it has loaded so far is not lost.
        return tl::unexpected<Outcome>(Interrupted{});
      case KeptProcess::Readiness::kBroken:
        processes.NoteBroken(*process);
        failed.why = "starting the program: " + process->why();
        failed.output = process->last_lines();
    }
  }
  return tl::unexpected<Outcome>(Interrupted{});
}

Outcome Serve(KeptProcesses& processes, Job& job, milliseconds start_deadline) {
  while (true) {
    auto process = TakeReady(processes, job, start_deadline);
    if (!process) return std::move(process).error();
    std::optional<Outcome> outcome = (*process)->Run(job);
    if ((*process)->StillGood()) {
      processes.NoteGood();
      processes.PutBack(*std::move(process));
    } else {
      processes.NoteBroken(**process);
    }
    if (outcome) return *std::move(outcome);
  }
}

}  // namespace

Result<Handler> MakeServeHandler(ServeOptions options) {
  assert(!options.command.empty());
  Result<std::string> program = ResolveProgram(options.command.front(), OwnPath());
  if (!program) return tl::unexpected(std::move(program).error());
  if (!options.on_line) {
    options.on_line = [](const Job* job, std::string_view line) {
      WriteToStderr(job == nullptr ? "handler" : "job " + job->id(), line);
    };
  }
  auto processes = std::make_shared<KeptProcesses>(
      KeptProcessOptions{.command = {.program = *std::move(program),
                                     .arguments = std::move(options.command),
                                     .environment = OwnEnvironment()},
                         .lane = options.lane,
                         .start_deadline = options.start_deadline,
                         .term_grace = options.term_grace,
                         .on_line = std::move(options.on_line)});
  return Handler([processes = std::move(processes), deadline = options.start_deadline](Job& job) {
    return Serve(*processes, job, deadline);
  });
}

}  // namespace lanekeeper::handlers
