#include "worker-runtime/runner/runner.h"

#include <cxxabi.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <random>
#include <typeinfo>
#include <utility>
#include <variant>

#include "worker-runtime/base/duration.h"
#include "worker-runtime/base/log.h"
#include "worker-runtime/runner/now.h"

namespace lanekeeper::runner {
namespace {

constexpr std::chrono::milliseconds kWithdrawTimeout{1000};
constexpr std::chrono::milliseconds kWatchPause{100};  // At least this often while jobs run.

// Eight hexadecimal digits that tell this process from an earlier one of the same name.
std::string NewInstance() {
  std::random_device random;
  std::array<char, 9> text{};
  std::snprintf(text.data(), text.size(), "%08x", random());
  return text.data();
}

std::string NameOf(const std::type_info& type) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> name(
      abi::__cxa_demangle(type.name(), nullptr, nullptr, &status), &std::free);
  return status == 0 ? name.get() : type.name();
}

// An exception is a failure like any other: it never leaves the slot.
Outcome CallGuarded(const Handler& handler, Job& job) {
  try {
    return handler(job);
  } catch (const std::exception& error) {
    return Failed{.why = error.what(), .error_class = NameOf(typeid(error))};
  } catch (...) {
    return Failed{.why = "the handler threw something that is no std::exception",
                  .error_class = "exception"};
  }
}

std::chrono::milliseconds TimeoutOf(const RunningJob& running, std::chrono::milliseconds lane) {
  return std::min(lane, running.head()->timeout.value_or(lane));
}

// Its time says how long such a job has a slot: nobody cut it short, and it does not go on in
// another lane.
bool CameToItsEnd(const RunningJob& job, const Outcome& outcome, const Settlement& settlement) {
  if (std::holds_alternative<Done>(outcome)) return true;
  if (std::holds_alternative<Crashed>(outcome)) return false;
  if (std::holds_alternative<MoveLane>(settlement)) return false;
  return job.TimedOut() || !job.StopRequested();
}

IntakeOptions IntakeOptionsOf(const RunnerOptions& options, const std::string& instance) {
  return {.policy = options.policy, .worker = options.worker, .instance = instance};
}

}  // namespace

StopPlan PlanStop(std::chrono::milliseconds grace) {
  assert(grace.count() > 0);
  using std::chrono::milliseconds;
  return {.stop_handlers = std::max(grace - milliseconds(8000), grace * 3 / 4),
          .give_up = grace - std::min(milliseconds(1000), grace / 8)};
}

Runner::Runner(RunnerOptions options, const HandlerRegistry& handlers, JobSource& source,
               RecordStore* records, RunnerMetrics& metrics, Reporter reporter)
    : options_(std::move(options)),
      source_(source),
      records_(records),
      metrics_(metrics),
      reporter_(std::move(reporter)),
      instance_(NewInstance()),
      intake_(IntakeOptionsOf(options_, instance_), handlers, source, records),
      settler_(source, options_.settler) {
  assert(options_.slots >= 1);
  assert((records_ == nullptr) == (options_.policy.tracking == Tracking::kNone));
  metrics_.SetSlots(options_.slots);
}

Runner::~Runner() {
  BeginStop();
  for (std::thread& thread : threads_) thread.join();
}

void Runner::Start() {
  assert(threads_.empty());
  threads_left_ = options_.slots + 1;
  for (int slot = 0; slot < options_.slots; ++slot) {
    threads_.emplace_back([this] { RunSlot(); });
  }
  threads_.emplace_back([this] { RunFetch(); });
  threads_.emplace_back([this] { RunLeaseKeeper(); });
}

void Runner::Drain() { BeginDrain(/*for_good=*/false); }

void Runner::End() { BeginDrain(/*for_good=*/true); }

void Runner::BeginDrain(bool for_good) {
  {
    const std::lock_guard lock(mutex_);
    if (stop_began_) return;
    const bool drained_already = std::exchange(draining_, true);
    const bool news = for_good && !std::exchange(ending_, true);
    if (news) ReportSoon();
    if (drained_already) return;
    NoteState();
    ReportSoon();
  }
  source_.Interrupt();
  room_.notify_one();
}

bool Runner::Ended() const {
  const std::lock_guard lock(mutex_);
  return ending_ && State() == WorkerState::kDrained;
}

void Runner::Undrain() {
  const std::lock_guard lock(mutex_);
  if (ending_) return;
  if (!std::exchange(draining_, false) || stop_began_) return;
  NoteState();
  ReportSoon();
  room_.notify_one();
}

void Runner::NoteState() { closing_ = stop_began_ || draining_; }

Runner::JobHandle Runner::FindJob(std::string_view instance, std::string_view id) const {
  if (instance != instance_) return nullptr;
  const std::lock_guard lock(mutex_);
  const auto found = std::find_if(jobs_.begin(), jobs_.end(), [id](const JobHandle& job) {
    // A delivery that asks who has its job is not the answer.
    return job->id() == id && !job->Asks() && !job->Stuck() && !job->FenceLost();
  });
  return found == jobs_.end() ? nullptr : *found;
}

bool Runner::Holds(std::string_view instance, std::string_view id) const {
  return FindJob(instance, id) != nullptr;
}

bool Runner::CheckFence(std::string_view instance, std::string_view id) const {
  const JobHandle job = FindJob(instance, id);
  if (job != nullptr) job->CheckFence();
  return job != nullptr;
}

WorkerReport Runner::Report(bool with_types) const {
  const std::lock_guard lock(mutex_);
  return MakeReport(with_types);
}

void Runner::ReportTo(const Reporter& say, bool with_types) const {
  const std::lock_guard saying(said_mutex_);
  say(Report(with_types));
}

void Runner::BeginStop() {
  {
    const std::lock_guard lock(mutex_);
    if (stop_began_) return;
    stop_began_ = Now();
    NoteState();
    settler_.StopAt(*stop_began_ + options_.stop.give_up);
    ReportSoon();
  }
  source_.Interrupt();
  room_.notify_one();
}

bool Runner::Stopped() const {
  const std::lock_guard lock(mutex_);
  return threads_.empty() || keeper_through_;
}

bool Runner::TimeToGiveUp() const {
  const std::lock_guard lock(mutex_);
  return stop_began_ && Now() >= *stop_began_ + options_.stop.give_up;
}

bool Runner::HandlersMustStop() const {
  if (!closing_) return false;
  const std::lock_guard lock(mutex_);
  return stop_began_ && Now() >= *stop_began_ + options_.stop.stop_handlers;
}

int Runner::Abandon() {
  std::vector<JobHandle> left;
  {
    const std::lock_guard lock(mutex_);
    left = jobs_;
  }
  for (const JobHandle& running : left) {
    running->StopRenewing();
    if (running->recorded()) {
      // Not surely: there is no time left. Without it the next worker counts a crash.
      const Decided back = DecideSettlement(options_.policy, running->record(),
                                            {.outcome = Interrupted{}}, SystemClock().WallNow());
      static_cast<void>(running->StoreAsync(std::make_shared<const JobRecord>(back.record),
                                            [](const Written&) {}));
    }
    const Result<void> told = source_.GiveBack(running->lease(), std::chrono::milliseconds(0));
    log::Warning("runner", "job_abandoned",
                 {{"job", running->id()}, {"given_back", told.has_value()}});
  }
  const auto say_last = [this](WorkerReport last) {
    last.state = WorkerState::kStopped;
    last.running = 0;
    reporter_(last);
  };
  ReportTo(say_last, /*with_types=*/true);
  return static_cast<int>(left.size());
}

std::string Runner::NotReady() const {
  const std::lock_guard lock(mutex_);
  if (closing_) return "draining";
  if (!source_.Connected()) return "not connected to NATS";
  if (!fetch_error_.empty()) return fetch_error_;
  if (!fetched_once_) return "starting";
  return {};
}

bool Runner::EverySlotStuck() const {
  const std::lock_guard lock(mutex_);
  const auto stuck =
      std::count_if(jobs_.begin(), jobs_.end(), [](const JobHandle& job) { return job->Stuck(); });
  return stuck >= options_.slots;
}

// ---- Fetch thread ----

void Runner::RunFetch() {
  while (true) {
    int free_slots = 0;
    bool withdraw = false;
    {
      std::unique_lock lock(mutex_);
      const auto free = [this] { return options_.slots - static_cast<int>(jobs_.size()); };
      room_.wait(lock, [&] { return stop_began_ || (draining_ ? !withdrawn_ : free() > 0); });
      if (stop_began_) break;
      withdraw = draining_;
      if (!withdraw) {
        withdrawn_ = false;
        free_slots = asked_ = free();
      }
    }
    if (withdraw) {
      Withdraw();
    } else {
      Fetch(free_slots);
    }
  }
  Withdraw();
  {
    const std::lock_guard lock(mutex_);
    fetch_through_ = true;
    if (AllThrough()) tasks_.Close();
  }
  ThreadThrough();
}

void Runner::Fetch(int free_slots) {
  Result<void> prepared;
  if (records_ != nullptr) prepared = records_->Prepare();
  Result<std::vector<Received>> fetched = prepared
                                              ? source_.Fetch(free_slots, options_.fetch_timeout)
                                              : tl::unexpected(prepared.error());
  std::string error = fetched ? std::string() : fetched.error().message;
  bool changed = false;
  {
    std::unique_lock lock(mutex_);
    asked_ = 0;
    changed = error != fetch_error_;
    fetch_error_ = error;
    fetched_once_ = fetched_once_ || fetched;
    // The source paces its own errors; the records' do not.
    if (!prepared) room_.wait_for(lock, options_.fetch_timeout, [this] { return closing_.load(); });
  }
  if (!fetched) metrics_.FetchFailed();
  if (changed && !error.empty()) log::Warning("runner", "fetch_failed", {{"error", error}});
  if (changed && error.empty()) log::Info("runner", "fetching_again");
  if (fetched) Receive(*std::move(fetched));
}

void Runner::Receive(std::vector<Received> received) {
  if (received.empty()) return;
  std::vector<JobHandle> jobs;
  jobs.reserve(received.size());
  const MonotonicTime now = Now();
  for (Received& one : received) {
    jobs.push_back(
        std::make_shared<RunningJob>(source_, records_, std::move(one), options_.limits, now));
  }
  {
    const std::lock_guard lock(mutex_);
    for (const JobHandle& job : jobs) {
      job->place = jobs_.size();
      jobs_.push_back(job);
    }
    ReportSoon();
  }
  std::vector<Task> tasks;
  for (JobHandle& job : jobs) {
    if (auto claim = intake_.ClaimWithoutLook(*job, SystemClock().WallNow())) {
      Claim(job, *std::move(claim));
    } else {
      tasks.push_back({.step = Task::Step::kAdmit, .job = std::move(job)});
    }
  }
  tasks_.Push(std::move(tasks));
}

void Runner::Claim(const JobHandle& job, JobRecord claim) {
  const auto record = std::make_shared<const JobRecord>(std::move(claim));
  records_->WriteAsync(*record, 0, [this, job, record](const Written& written) {
    if (written.kind == Written::Kind::kStored) {
      job->Claimed(record, written.revision);
      tasks_.Push({.step = Task::Step::kRun, .job = job});
    } else {
      tasks_.Push({.step = Task::Step::kAdmit, .job = job, .tried = *record});
    }
  });
}

void Runner::Withdraw() {
  for (const Received& received : source_.Withdraw(kWithdrawTimeout)) {
    const Result<void> back = source_.GiveBack(received.lease, std::chrono::milliseconds(0));
    log::Info("runner", "job_given_back_unstarted",
              {{"sequence", received.message.sequence}, {"told", back.has_value()}});
  }
  const std::lock_guard lock(mutex_);
  withdrawn_ = true;
  ReportSoon();
}

// ---- Slot threads ----

void Runner::RunSlot() {
  if (options_.board != nullptr) options_.board->SitDown();
  std::optional<std::chrono::nanoseconds> took;
  while (std::optional<Task> task = tasks_.Pop(took)) {
    const MonotonicTime began = Now();
    Do(*std::move(task));
    took = Now() - began;
  }
  ThreadThrough();
}

bool Runner::AllThrough() const { return stop_began_ && fetch_through_ && jobs_.empty(); }

void Runner::Do(Task task) {
  if (task.step == Task::Step::kSettle) {
    const Decided& decided = *task.decided;
    const bool keeps = KeepsRecord(*task.job, decided.settlement);
    return Settle(task.job, decided.settlement,
                  keeps ? std::optional(decided.record) : std::nullopt);
  }
  if (task.step == Task::Step::kAdmit) {
    // Not even looked at; unless it may be claimed already.
    if (closing_ && !task.tried) return Settle(task.job, RetryAfter{}, std::nullopt);
    if (auto before = settler_.Recall(task.job->message())) {
      return Settle(task.job, *before, std::nullopt);
    }
    if (auto turned = intake_.Admit(*task.job, std::move(task.tried))) {
      return Settle(task.job, turned->settlement, turned->record);
    }
  }
  // Cancelled, or lost, before its handler has started: nothing is to be told of a run.
  if (task.job->FenceLost()) return Settle(task.job, Ack{}, std::nullopt);
  // It is claimed: its record says that it has started, and it has a slot. Given back now it would
  // count as interrupted though nobody cut it.
  if (HandlersMustStop()) {
    return Tell(task.job, DecideSettlement(options_.policy, task.job->record(),
                                           {.outcome = Interrupted{}}, SystemClock().WallNow()));
  }
  Run(task.job);
}

void Runner::Run(const JobHandle& job) {
  const std::chrono::milliseconds timeout = TimeoutOf(*job, options_.limits.timeout);
  Handled handled = Handle(*job, timeout);
  Ending ending{.outcome = std::move(handled.outcome),
                .own_time = timeout < options_.limits.timeout,
                .timeout = timeout};
  ending.overran = job->TimedOut();
  Decided decided =
      DecideSettlement(options_.policy, job->record(), ending, SystemClock().WallNow());
  if (CameToItsEnd(*job, ending.outcome, decided.settlement)) {
    job->service_bucket = ServiceBucketOf(handled.took);
  }
  Tell(job, std::move(decided));
}

Runner::Handled Runner::Handle(RunningJob& running, std::chrono::milliseconds timeout) {
  JobStart start = running.StartOfRun();
  start.attempts_max = options_.policy.attempts_max;
  start.timeout = timeout;
  Job job = Job::Sharing(running.SharedMessage(), *running.head(), std::move(start), &running);
  const MonotonicTime started = Now();
  running.HandlerStarts(started, timeout);
  CrashBoard::Note(running.lease());
  Outcome outcome = CallGuarded(*intake_.HandlerOf(running), job);
  CrashBoard::Clear();
  if (std::holds_alternative<Interrupted>(outcome) && !running.StopRequested()) {
    outcome = Failed{"the handler returned Interrupted without having been told to stop"};
  }
  const std::chrono::nanoseconds took = Now() - started;
  if (running.Cancelled()) {
    metrics_.HandlerReturnedCancelled(took);
    return {std::move(outcome), took};
  }
  metrics_.HandlerReturned(outcome, took);
  const std::string* why = nullptr;
  if (const auto* failed = std::get_if<Failed>(&outcome)) why = &failed->why;
  if (const auto* rejected = std::get_if<Rejected>(&outcome)) why = &rejected->why;
  if (const auto* crashed = std::get_if<Crashed>(&outcome)) why = &crashed->why;
  if (why != nullptr) {
    log::Info("runner", "job_failed",
              {{"job", job.id()},
               {"type", job.type()},
               {"attempt", job.attempt()},
               {"why", why->substr(0, 512)}});
    const std::lock_guard lock(mutex_);
    ++failed_;
  }
  return {std::move(outcome), took};
}

bool Runner::KeepsRecord(const RunningJob& job, const Settlement& settlement) const {
  if (records_ == nullptr) return false;
  // tracking Failures: nothing about a job that went well at once.
  return job.recorded() || !std::holds_alternative<Ack>(settlement);
}

void Runner::Tell(const JobHandle& job, Decided decided) {
  const bool keeps = KeepsRecord(*job, decided.settlement);
  if (!std::holds_alternative<Ack>(decided.settlement)) {
    return Settle(job, decided.settlement, keeps ? std::optional(decided.record) : std::nullopt);
  }
  const auto again = [this](const JobHandle& untold, const JobRecord& record) {
    tasks_.Push({.step = Task::Step::kSettle, .job = untold, .decided = Decided{Ack{}, record}});
  };
  if (!keeps) {
    return source_.AcknowledgeAsync(job->lease(), [this, job, again](const Result<void>& told) {
      if (!told) return again(job, {});
      Through(job, Ack{}, Settled::kAcknowledged);
    });
  }
  const auto record = std::make_shared<const JobRecord>(std::move(decided.record));
  const bool begun = job->StoreAsync(record, [this, job, again, record](const Written& written) {
    if (written.kind != Written::Kind::kStored) return again(job, *record);
    source_.AcknowledgeSoon(job->lease());
    Through(job, Ack{}, Settled::kAcknowledged);
  });
  if (!begun) Settle(job, decided.settlement, *record);
}

void Runner::Settle(const JobHandle& job, const Settlement& settlement,
                    const std::optional<JobRecord>& record) {
  Through(job, settlement, settler_.Settle(*job, settlement, record));
}

void Runner::Through(const JobHandle& job, const Settlement& settlement, Settled settled) {
  const auto* letter = std::get_if<DeadLetter>(&settlement);
  if (settled == Settled::kDead && letter != nullptr) {
    metrics_.DeadLetter(letter->reason);
    log::Warning(
        "runner", "dead_letter",
        {{"job", job->id()}, {"reason", letter->reason}, {"why", letter->message.substr(0, 512)}});
  }
  if (settled == Settled::kKept) metrics_.Kept();
  if (settled == Settled::kMoved) metrics_.Moved();
  if (settled == Settled::kUntold) metrics_.NotSettled();
  if (settled == Settled::kLost) metrics_.LeaseLost();
  if (settled == Settled::kCancelled) metrics_.Cancelled();
  const std::lock_guard lock(mutex_);
  if (settled == Settled::kAcknowledged) ++done_;
  if (settled == Settled::kDead) ++dead_;
  if (job->service_bucket) {
    ++service_[*job->service_bucket];
    types_.Count(job->head()->type, *job->service_bucket);
  }
  jobs_.back()->place = job->place;
  jobs_[job->place] = jobs_.back();
  jobs_.pop_back();
  ReportSoon();
  // Under the lock: the destructor may be waiting for the last job.
  const int free = options_.slots - static_cast<int>(jobs_.size());
  if (asked_ == 0) {
    room_.notify_one();
  } else if (free >= 2 * asked_) {
    source_.Interrupt();
  }
  if (AllThrough()) tasks_.Close();
}

// ---- Lease keeper ----

void Runner::RunLeaseKeeper() {
  MonotonicTime report_at = Now();  // Of the next periodic one.
  MonotonicTime report_not_before = Now();
  std::unique_lock lock(mutex_);
  while (threads_left_ > 0) {
    const MonotonicTime now = Now();
    const std::vector<JobHandle> watched = jobs_;
    const bool stop_handlers = stop_began_ && now >= *stop_began_ + options_.stop.stop_handlers;
    // Changes make many reports of a busy worker: the types, which make them long, come with the
    // periodic ones only.
    const bool periodic = now >= report_at;
    const bool report =
        periodic || State() != reported_ || (report_due_ && now >= report_not_before);
    if (periodic) report_at = now + options_.report_interval;
    if (report) {
      report_due_ = false;
      report_not_before = now + options_.report_pause;
      reported_ = State();
    }
    lock.unlock();

    if (report) ReportTo(reporter_, periodic);
    MonotonicTime wake = watched.empty() ? report_at : std::min(report_at, now + kWatchPause);
    int stuck = 0;
    for (const JobHandle& job : watched) {
      if (stop_handlers) job->RequestStop();
      wake = std::min(wake, job->Watch(now));
      if (job->Stuck()) ++stuck;
    }
    metrics_.SetRunning(static_cast<int>(watched.size()));
    metrics_.SetStuck(stuck);

    lock.lock();
    if (stop_began_ && !stop_handlers) {
      wake = std::min(wake, *stop_began_ + options_.stop.stop_handlers);
    }
    if (report_due_) wake = std::min(wake, report_not_before);
    // A change wakes it, but only to make its report in time: a new job's own times are seen then.
    watch_.wait_until(lock, wake, [&, due = report_due_] {
      return threads_left_ == 0 || (report_due_ && !due) || State() != reported_;
    });
  }
  lock.unlock();
  metrics_.SetRunning(0);
  const auto say_last = [this](WorkerReport last) {
    last.state = WorkerState::kStopped;
    reporter_(last);
  };
  ReportTo(say_last, /*with_types=*/true);
  lock.lock();
  keeper_through_ = true;
}

WorkerState Runner::State() const {
  if (!closing_) return WorkerState::kRunning;
  return withdrawn_ && jobs_.empty() ? WorkerState::kDrained : WorkerState::kDraining;
}

WorkerReport Runner::MakeReport(bool with_types) const {
  MonotonicTime oldest = MonotonicTime::max();
  for (const JobHandle& job : jobs_) oldest = std::min(oldest, job->HandlerStartedAt());
  const MonotonicTime now = Now();
  return {.worker = options_.worker,
          .state = State(),
          .ending = ending_ || stop_began_,
          .slots = options_.slots,
          .running = static_cast<int>(jobs_.size()),
          .done = done_,
          .failed = failed_,
          .dead = dead_,
          .oldest_running =
              std::chrono::duration_cast<std::chrono::seconds>(now - std::min(oldest, now)),
          .service = service_,
          .types = with_types ? types_.Most(kReportTypesMax) : std::vector<TypeService>{}};
}

void Runner::ReportSoon() {
  const bool due_already = std::exchange(report_due_, true);
  if (!due_already || State() != reported_) watch_.notify_one();
}

void Runner::ThreadThrough() {
  const std::lock_guard lock(mutex_);
  --threads_left_;
  watch_.notify_one();
}

}  // namespace lanekeeper::runner
