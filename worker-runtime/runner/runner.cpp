#include "worker-runtime/runner/runner.h"

#include <algorithm>
#include <cassert>
#include <exception>
#include <utility>
#include <variant>

#include "worker-runtime/base/duration.h"
#include "worker-runtime/base/log.h"
#include "worker-runtime/job/codec.h"

namespace lanekeeper::runner {
namespace {

constexpr std::chrono::milliseconds kWithdrawTimeout{1000};
constexpr std::chrono::milliseconds kReportPause{100};  // Changes inside it make one report.

MonotonicTime Now() { return SystemClock().Now(); }

// An exception is a failure like any other: it never leaves the slot.
Outcome CallGuarded(const Handler& handler, Job& job) {
  try {
    return handler(job);
  } catch (const std::exception& error) {
    return Failed{error.what()};
  } catch (...) {
    return Failed{"the handler threw something that is no std::exception"};
  }
}

// What an outcome means, given what the handler had been told.
Outcome Judge(Outcome outcome, const RunningJob& running, std::chrono::milliseconds timeout) {
  if (std::holds_alternative<Done>(outcome) || std::holds_alternative<Rejected>(outcome)) {
    return outcome;
  }
  if (running.TimedOut()) return Failed{"timed out after " + FormatDuration(timeout)};
  if (std::holds_alternative<Interrupted>(outcome) && !running.StopRequested()) {
    return Failed{"the handler returned Interrupted without having been told to stop"};
  }
  return outcome;
}

}  // namespace

StopPlan PlanStop(std::chrono::milliseconds grace) {
  assert(grace.count() > 0);
  using std::chrono::milliseconds;
  return {.stop_handlers = std::max(grace - milliseconds(8000), grace * 3 / 4),
          .give_up = grace - std::min(milliseconds(1000), grace / 8)};
}

Runner::Runner(RunnerOptions options, const HandlerRegistry& handlers, JobSource& source,
               RunnerMetrics& metrics, Reporter reporter)
    : options_(std::move(options)),
      stop_plan_(PlanStop(options_.grace)),
      handlers_(handlers),
      source_(source),
      metrics_(metrics),
      reporter_(std::move(reporter)),
      settler_(source, options_.settler),
      running_(static_cast<std::size_t>(options_.slots)),
      free_slots_(options_.slots) {
  assert(options_.slots >= 1);
  metrics_.SetSlots(options_.slots);
}

Runner::~Runner() {
  BeginStop();
  for (std::thread& thread : threads_) thread.join();
}

void Runner::Start() {
  assert(threads_.empty());
  threads_left_ = options_.slots + 1;
  for (std::size_t slot = 0; slot < running_.size(); ++slot) {
    threads_.emplace_back([this, slot] { RunSlot(slot); });
  }
  threads_.emplace_back([this] { RunFetch(); });
  threads_.emplace_back([this] { RunLeaseKeeper(); });
}

void Runner::BeginStop() {
  {
    const std::lock_guard lock(mutex_);
    if (stop_began_) return;
    stop_began_ = Now();
    settler_.StopAt(*stop_began_ + stop_plan_.give_up);
    ReportSoon();
  }
  source_.Interrupt();
  work_.notify_all();
  room_.notify_one();
}

bool Runner::Stopped() const {
  const std::lock_guard lock(mutex_);
  return threads_.empty() || keeper_through_;
}

bool Runner::TimeToGiveUp() const {
  const std::lock_guard lock(mutex_);
  return stop_began_ && Now() >= *stop_began_ + stop_plan_.give_up;
}

int Runner::Abandon() {
  std::vector<std::shared_ptr<RunningJob>> left;
  WorkerReport report;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& running : running_) {
      if (running) left.push_back(running);
    }
    report = Report();
  }
  for (const auto& running : left) {
    running->StopRenewing();
    const Result<void> back = source_.GiveBack(running->lease(), std::chrono::milliseconds(0));
    log::Warning("runner", "job_abandoned",
                 {{"job", running->id()}, {"given_back", back.has_value()}});
  }
  report.state = WorkerState::kStopped;
  report.running = 0;
  reporter_(report);
  return static_cast<int>(left.size());
}

std::string Runner::NotReady() const {
  const std::lock_guard lock(mutex_);
  if (stop_began_) return "draining";
  if (!source_.Connected()) return "not connected to NATS";
  if (!fetch_error_.empty()) return fetch_error_;
  if (!fetched_once_) return "starting";
  return {};
}

bool Runner::EverySlotStuck() const {
  const std::lock_guard lock(mutex_);
  return std::all_of(running_.begin(), running_.end(),
                     [](const auto& running) { return running && running->Stuck(); });
}

// ---- Fetch thread ----

void Runner::RunFetch() {
  while (true) {
    int free_slots = 0;
    {
      std::unique_lock lock(mutex_);
      room_.wait(lock, [this] { return free_slots_ > 0 || stop_began_; });
      if (stop_began_) break;
      free_slots = asked_ = free_slots_;
    }
    Fetch(free_slots);
  }
  std::vector<Received> unstarted = source_.Withdraw(kWithdrawTimeout);
  {
    const std::lock_guard lock(mutex_);
    std::move(received_.begin(), received_.end(), std::back_inserter(unstarted));
    received_.clear();
  }
  GiveBackUnstarted(std::move(unstarted));
  ThreadThrough();
}

void Runner::Fetch(int free_slots) {
  Result<std::vector<Received>> fetched = source_.Fetch(free_slots, options_.fetch_timeout);
  std::string error = fetched ? std::string() : fetched.error().message;
  bool changed = false;
  {
    const std::lock_guard lock(mutex_);
    asked_ = 0;
    changed = error != fetch_error_;
    fetch_error_ = error;
    if (fetched) {
      fetched_once_ = true;
      free_slots_ -= static_cast<int>(fetched->size());
      for (Received& received : *fetched) received_.push_back(std::move(received));
    }
  }
  if (!fetched) metrics_.FetchFailed();
  if (changed && !error.empty()) log::Warning("runner", "fetch_failed", {{"error", error}});
  if (changed && error.empty()) log::Info("runner", "fetching_again");
  if (fetched && !fetched->empty()) work_.notify_all();
}

void Runner::GiveBackUnstarted(std::vector<Received> unstarted) {
  for (const Received& received : unstarted) {
    const Result<void> back = source_.GiveBack(received.lease, std::chrono::milliseconds(0));
    log::Info("runner", "job_given_back_unstarted",
              {{"job", JobIdOf(received.message)}, {"told", back.has_value()}});
  }
}

// ---- Slot threads ----

void Runner::RunSlot(std::size_t slot) {
  while (std::optional<Received> received = NextReceived()) RunJob(slot, *std::move(received));
  ThreadThrough();
}

std::optional<Received> Runner::NextReceived() {
  std::unique_lock lock(mutex_);
  work_.wait(lock, [this] { return !received_.empty() || stop_began_; });
  if (stop_began_) return std::nullopt;
  Received received = std::move(received_.front());
  received_.pop_front();
  return received;
}

void Runner::RunJob(std::size_t slot, Received received) {
  const std::string id = JobIdOf(received.message);
  const auto running =
      std::make_shared<RunningJob>(source_, id, received.lease, options_.limits, Now());
  {
    const std::lock_guard lock(mutex_);
    running_[slot] = running;
    ReportSoon();
  }

  const Result<JobHead> head = DecodeHead(received.message);
  const Handler* handler = head ? handlers_.Find(head->type) : nullptr;
  std::optional<Settlement> settlement = SettlementWithoutRun(received.message, head, handler);
  Settled settled{};
  if (settlement) {
    settled = settler_.Settle(*running, received.message, *settlement);
  } else {
    Job job(std::move(received.message), *head, options_.policy.attempts_max,
            [&running] { return running->StopRequested(); });
    settlement = Handle(*running, job, *handler);
    settled = settler_.Settle(*running, job.message(), *settlement);
  }
  CountSettled(id, *settlement, settled);

  bool more_room = false;
  {
    const std::lock_guard lock(mutex_);
    running_[slot] = nullptr;
    ++free_slots_;
    ReportSoon();
    more_room = asked_ > 0 && asked_ < free_slots_;
  }
  room_.notify_one();
  if (more_room) source_.Interrupt();
}

std::optional<Settlement> Runner::SettlementWithoutRun(const JobMessage& message,
                                                       const Result<JobHead>& head,
                                                       const Handler* handler) {
  if (auto before = settler_.Recall(message)) return before;
  if (!head) return DeadLetter{std::string(kDeadUndecodable), head.error().message};
  if (auto letter = DecideReceipt(options_.policy, message.delivery, head->deadline,
                                  std::chrono::system_clock::now())) {
    return *std::move(letter);
  }
  if (handler == nullptr) {
    return DeadLetter{std::string(kDeadUnknownType),
                      "no handler for jobs of type \"" + head->type + "\""};
  }
  return std::nullopt;
}

Settlement Runner::Handle(RunningJob& running, Job& job, const Handler& handler) {
  const MonotonicTime started = Now();
  const Outcome outcome = Judge(CallGuarded(handler, job), running, options_.limits.timeout);
  metrics_.HandlerReturned(outcome, Now() - started);
  const auto why = [&]() -> std::string {
    if (const auto* failed = std::get_if<Failed>(&outcome)) return failed->why;
    if (const auto* rejected = std::get_if<Rejected>(&outcome)) return rejected->why;
    return {};
  }();
  if (!why.empty()) {
    log::Info("runner", "job_failed",
              {{"job", job.id()},
               {"type", job.type()},
               {"delivery", job.delivery()},
               {"why", why.substr(0, 512)}});
    const std::lock_guard lock(mutex_);
    ++failed_;
  }
  return DecideSettlement(options_.policy, job.delivery(), outcome);
}

void Runner::CountSettled(const std::string& id, const Settlement& settlement, Settled settled) {
  const auto* letter = std::get_if<DeadLetter>(&settlement);
  if (settled == Settled::kDead && letter != nullptr) {
    metrics_.DeadLetter(letter->reason);
    log::Warning(
        "runner", "dead_letter",
        {{"job", id}, {"reason", letter->reason}, {"why", letter->message.substr(0, 512)}});
  }
  if (settled == Settled::kKept) metrics_.DeadLetterKept();
  if (settled == Settled::kUntold) metrics_.NotSettled();
  const std::lock_guard lock(mutex_);
  if (std::holds_alternative<Ack>(settlement)) ++done_;
  if (settled == Settled::kDead) ++dead_;
}

// ---- Lease keeper ----

void Runner::RunLeaseKeeper() {
  MonotonicTime report_at = Now();  // Of the next periodic one.
  MonotonicTime report_not_before = Now();
  std::unique_lock lock(mutex_);
  while (threads_left_ > 0) {
    MonotonicTime now = Now();
    const std::vector<std::shared_ptr<RunningJob>> watched = running_;
    const bool stop_handlers = stop_began_ && now >= *stop_began_ + stop_plan_.stop_handlers;
    std::optional<WorkerReport> report;
    if (now >= report_at || (report_due_ && now >= report_not_before)) {
      report = Report();
      report_due_ = false;
      report_at = now + options_.report_interval;
      report_not_before = now + kReportPause;
    }
    lock.unlock();

    if (report) reporter_(*report);
    MonotonicTime wake = report_at;
    int running = 0;
    int stuck = 0;
    for (const auto& job : watched) {
      if (!job) continue;
      if (stop_handlers) job->RequestStop();
      wake = std::min(wake, job->Watch(now));
      ++running;
      if (job->Stuck()) ++stuck;
    }
    metrics_.SetRunning(running);
    metrics_.SetStuck(stuck);

    lock.lock();
    if (stop_began_ && !stop_handlers) {
      wake = std::min(wake, *stop_began_ + stop_plan_.stop_handlers);
    }
    if (report_due_) wake = std::min(wake, report_not_before);
    // A change wakes it, but only to make its report in time: a new job's own times are seen then.
    watch_.wait_until(
        lock, wake, [&, due = report_due_] { return threads_left_ == 0 || (report_due_ && !due); });
  }
  WorkerReport last = Report();
  last.state = WorkerState::kStopped;
  lock.unlock();
  metrics_.SetRunning(0);
  reporter_(last);
  lock.lock();
  keeper_through_ = true;
}

WorkerReport Runner::Report() const {
  WorkerReport report{.worker = options_.worker,
                      .state = stop_began_ ? WorkerState::kDraining : WorkerState::kRunning,
                      .slots = options_.slots,
                      .done = done_,
                      .failed = failed_,
                      .dead = dead_};
  for (const auto& running : running_) {
    if (running) ++report.running;
  }
  return report;
}

void Runner::ReportSoon() {
  if (!std::exchange(report_due_, true)) watch_.notify_one();
}

void Runner::ThreadThrough() {
  const std::lock_guard lock(mutex_);
  --threads_left_;
  watch_.notify_one();
}

}  // namespace lanekeeper::runner
