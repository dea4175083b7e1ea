#include "worker-runtime/runner/supervisor.h"

#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "worker-runtime/base/clock.h"
#include "worker-runtime/base/log.h"
#include "worker-runtime/nats/connection.h"
#include "worker-runtime/nats/jetstream.h"
#include "worker-runtime/nats/pull_consumer.h"
#include "worker-runtime/runner/nats_job_source.h"
#include "worker-runtime/runner/nats_record_store.h"
#include "worker-runtime/runner/running_job.h"
#include "worker-runtime/runner/settler.h"

namespace lanekeeper::runner {
namespace {

constexpr std::chrono::seconds kConnectWait{5};
constexpr std::chrono::seconds kTellingMax{8};
constexpr std::chrono::milliseconds kFlushTimeout{500};

std::string SignalName(int signal) {
  const char* description = sigdescr_np(signal);
  return "signal " + std::to_string(signal) +
         (description == nullptr ? "" : " (" + std::string(description) + ")");
}

// The delivery that a lease stands for, with its message. Nothing when it is settled by now.
std::optional<Received> ReceivedUnder(const nats::JetStream& jetstream, const std::string& stream,
                                      const std::string& lease) {
  nats::Message reply;
  reply.reply = lease;
  const auto delivery = nats::ParseDelivery(std::move(reply));
  if (!delivery) return std::nullopt;
  auto stored = jetstream.GetMessage(stream, delivery->stream_sequence);
  if (!stored) return std::nullopt;
  return Received{.message = {.stream = stream,
                              .sequence = delivery->stream_sequence,
                              .delivery = static_cast<int>(delivery->delivered),
                              .stored_at = delivery->stored_at,
                              .payload = std::move(stored->payload),
                              .headers = std::move(stored->headers)},
                  .lease = lease};
}

// Finds the claim that the dead worker had; false when it is not its job any more.
bool TakeClaim(const WorkerOptions& options, NatsRecordStore& records, RunningJob& job) {
  const auto stored = records.Read(options.lane.lane, job.id());
  if (!stored || !job.head()) return false;
  const bool claimed = stored->record && stored->record->state == JobState::kRunning &&
                       stored->record->worker == options.worker &&
                       stored->record->sequence == job.message().sequence &&
                       stored->record->stored_at == job.message().stored_at;
  if (claimed) {
    job.Claimed(*stored->record, stored->revision);
    return true;
  }
  // tracking Failures: a first delivery has none yet.
  if (options.policy.tracking != Tracking::kFailures || job.message().delivery != 1) return false;
  const Arrival arrival{job.message(), *job.head(), options.worker, ""};
  const Receipt receipt =
      DecideReceipt(options.policy, arrival, std::nullopt, std::nullopt, SystemClock().WallNow());
  const auto* start = std::get_if<Start>(&receipt);
  if (start != nullptr) job.Unrecorded(start->record);
  return start != nullptr;
}

void WaitForWorker(pid_t worker, const WorkerOptions& options, const CrashBoard& board) {
  sigset_t awaited;
  sigemptyset(&awaited);
  for (const int signal : {SIGTERM, SIGINT, SIGCHLD}) sigaddset(&awaited, signal);
  while (true) {
    int signal = 0;
    if (sigwait(&awaited, &signal) != 0) continue;
    if (signal != SIGCHLD) {
      kill(worker, signal);
      continue;
    }
    int status = 0;
    // As the first process of a container it is the parent of every orphan.
    for (pid_t ended = 0; (ended = waitpid(-1, &status, WNOHANG)) > 0;) {
      if (ended != worker) continue;
      if (WIFEXITED(status)) std::_Exit(WEXITSTATUS(status));
      if (!WIFSIGNALED(status)) continue;
      log::Error("supervisor", "worker_killed", {{"by", SignalName(WTERMSIG(status))}});
      const int told = TellJobsOfCrash(options, WTERMSIG(status), board.Read());
      log::Info("supervisor", "jobs_given_back", {{"jobs", told}});
      std::_Exit(128 + WTERMSIG(status));
    }
  }
}

}  // namespace

void Supervise(const WorkerOptions& options, const CrashBoard& board) {
  sigset_t child_ended;
  sigemptyset(&child_ended);
  sigaddset(&child_ended, SIGCHLD);
  pthread_sigmask(SIG_BLOCK, &child_ended, nullptr);
  const pid_t supervisor = getpid();
  const pid_t worker = fork();
  if (worker > 0) WaitForWorker(worker, options, board);
  pthread_sigmask(SIG_UNBLOCK, &child_ended, nullptr);
  if (worker < 0) {
    log::Warning("supervisor", "not_forked", {{"next", "the worker runs without a supervisor"}});
    return;
  }
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != supervisor) std::_Exit(128 + SIGKILL);  // It died before we asked for that.
  CrashBoard::WatchSignals();
}

int TellJobsOfCrash(const WorkerOptions& options, int signal,
                    const std::vector<CrashBoard::Entry>& entries) {
  if (entries.empty()) return 0;
  const auto connection = nats::Connection::Open({.url = options.nats_url,
                                                  .name = "lanekeeper-supervisor " + options.worker,
                                                  .credentials_file = options.nats_credentials,
                                                  .tls = options.nats_tls});
  if (!connection || !(*connection)->WaitConnected(kConnectWait)) return 0;
  auto source = NatsJobSource::Open(**connection, {.stream = options.stream,
                                                   .consumer = options.consumer,
                                                   .dead_subject = options.dead_subject,
                                                   .lane = options.lane,
                                                   .worker = options.worker,
                                                   .confirm_acks = options.confirm_acks});
  if (!source) return 0;
  NatsRecordStore records(**connection, {.lane = options.lane});
  const bool keeps_records = options.policy.tracking != Tracking::kNone;
  const nats::JetStream jetstream(**connection);
  Settler settler(**source, {});
  const MonotonicTime began = SystemClock().Now();
  settler.StopAt(began + kTellingMax);

  const bool fault_known =
      std::any_of(entries.begin(), entries.end(), [](const auto& entry) { return entry.at_fault; });
  const Outcome crash = Crashed{
      .why = "worker " + options.worker + " was killed by " + SignalName(signal) + " while it ran",
      .error_class = "signal " + std::to_string(signal)};
  int told = 0;
  for (const CrashBoard::Entry& entry : entries) {
    if (SystemClock().Now() > began + kTellingMax) break;
    auto received = ReceivedUnder(jetstream, options.stream, entry.lease);
    if (!received) continue;
    const auto job =
        std::make_shared<RunningJob>(**source, keeps_records ? &records : nullptr,
                                     *std::move(received), RunningJobLimits{}, SystemClock().Now());
    Settled settled{};
    if (!keeps_records) {
      // The delivery count is all there is: it comes again, with one more.
      settled = settler.Settle(*job, RetryAfter{options.policy.backoff.initial}, std::nullopt);
    } else {
      if (!TakeClaim(options, records, *job)) continue;
      const Outcome outcome = fault_known && !entry.at_fault ? Outcome(Interrupted{}) : crash;
      const Decided decided = DecideSettlement(options.policy, job->record(), {.outcome = outcome},
                                               SystemClock().WallNow());
      settled = settler.Settle(*job, decided.settlement, decided.record);
    }
    if (settled != Settled::kUntold && settled != Settled::kLost) ++told;
  }
  static_cast<void>((*connection)->Flush(kFlushTimeout));
  return told;
}

}  // namespace lanekeeper::runner
