// One program that is kept between jobs, for handlers with an expensive start: JSON lines on its
// standard input and output (job_lines.h). HANDLERS.md is the contract.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "worker-runtime/base/clock.h"
#include "worker-runtime/base/result.h"
#include "worker-runtime/handlers/job_lines.h"
#include "worker-runtime/handlers/lines.h"
#include "worker-runtime/handlers/process.h"

namespace lanekeeper::handlers {

struct KeptProcessOptions {
  Command command;
  LaneKey lane;
  std::chrono::milliseconds start_deadline{60000};  // From its start to {"ready":true}.
  // From {"stop":true}, or from the end of its output, to SIGKILL.
  std::chrono::milliseconds term_grace{5000};
  // A line of its standard error; `job` is null when it has none.
  std::function<void(const Job* job, std::string_view line)> on_line;
};

// One thread at a time. It dies with the thread that started it.
class KeptProcess {
 public:
  // `options` outlives it. Errors as Process::Start.
  static Result<std::unique_ptr<KeptProcess>> Start(const KeptProcessOptions& options);
  KeptProcess(KeptProcess&&) = delete;

  // Reads what it wrote while nobody asked. False when it is of no use any more: it has ended, or
  // broke the contract; why() says how.
  bool StillGood();

  enum class Readiness { kReady, kStopped, kBroken };
  // Until it is ready, `stop_requested`, or of no use: also when its start took too long.
  Readiness AwaitReady(const std::function<bool()>& stop_requested);

  // Precondition: ready. A process that died under the job is Crashed; one that broke the contract,
  // Failed with the class "protocol"; one that had to be killed after the stop, Interrupted.
  // Nothing when it ended without having read any of the job: another one may have it.
  std::optional<Outcome> Run(Job& job);

  const std::string& why() const { return why_; }
  const std::vector<std::string>& last_lines() const { return last_lines_.lines(); }

  // Closes its input and sends SIGTERM: it has until its destruction to end.
  void AskToEnd();
  bool Ended() const { return process_.Exited(); }

 private:
  KeptProcess(Process process, const KeptProcessOptions& options);

  // Waits a moment, then writes and reads what there is.
  void Turn();
  // False when nothing was there.
  bool ReadOnce();
  void ReadRest();
  void OnJobLine(std::string_view line);
  void Send(std::string_view line) { unsent_ += line; }
  // Of no use from here on; the first reason stays.
  void Break(std::string why);
  // After its exit: reads the rest.
  void Finish();
  std::optional<Outcome> OutcomeOfRun(bool stopped);

  const KeptProcessOptions& options_;
  Process process_;
  const MonotonicTime started_at_;
  ReadBuffer buffer_;
  LineSplitter job_lines_;
  LineSplitter error_lines_;
  LastLines last_lines_;
  std::string unsent_;
  std::size_t unsent_bytes_max_ = 0;
  std::size_t sent_bytes_ = 0;  // Since the job was given to it.

  bool ready_ = false;
  bool broken_ = false;
  std::optional<ExitStatus> died_;  // Set when that is why it is broken.
  std::optional<MonotonicTime> output_closed_at_;
  std::string why_;

  // Of the job that it has.
  Job* job_ = nullptr;
  std::string result_;
  std::optional<Outcome> outcome_;
};

}  // namespace lanekeeper::handlers
