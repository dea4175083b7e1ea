#include "worker-runtime/handlers/kept_process.h"

#include <sys/ioctl.h>

#include <cassert>
#include <csignal>
#include <memory>
#include <utility>

#include "worker-runtime/base/duration.h"

namespace lanekeeper::handlers {
namespace {

// One that writes faster than it is read has to be left for other things now and then.
constexpr int kReadsMax = 256;

// What was written to a pipe and not read yet; also when nobody will.
std::size_t Unread(const Fd& pipe) {
  int bytes = 0;
  return ioctl(pipe.get(), FIONREAD, &bytes) == 0 ? static_cast<std::size_t>(bytes) : 0;
}

}  // namespace

Result<std::unique_ptr<KeptProcess>> KeptProcess::Start(const KeptProcessOptions& options) {
  Result<Process> process = Process::Start(options.command, {.separate_error = true});
  if (!process) return tl::unexpected(std::move(process).error());
  return std::unique_ptr<KeptProcess>(new KeptProcess(*std::move(process), options));
}

KeptProcess::KeptProcess(Process process, const KeptProcessOptions& options)
    : options_(options),
      process_(std::move(process)),
      started_at_(SystemClock().Now()),
      job_lines_(kJobLineBytesMax, LineSplitter::LongLines::kCut,
                 [this](std::string_view line) { OnJobLine(line); }),
      error_lines_(kOutputLineBytesMax, LineSplitter::LongLines::kInPieces,
                   [this](std::string_view line) {
                     options_.on_line(job_, line);
                     last_lines_.Add(line);
                   }) {}

bool KeptProcess::StillGood() {
  ReadRest();
  if (process_.Exited()) Finish();
  return !broken_;
}

KeptProcess::Readiness KeptProcess::AwaitReady(const std::function<bool()>& stop_requested) {
  while (!ready_ && !broken_) {
    if (stop_requested()) return Readiness::kStopped;
    if (process_.Exited()) {
      Finish();
    } else if (SystemClock().Now() - started_at_ >= options_.start_deadline) {
      Break("it did not write {\"ready\":true} within " + FormatDuration(options_.start_deadline));
    } else {
      Turn();
    }
  }
  return broken_ ? Readiness::kBroken : Readiness::kReady;
}

std::optional<Outcome> KeptProcess::Run(Job& job) {
  assert(ready_ && !broken_ && job_ == nullptr);
  job_ = &job;
  result_.clear();
  outcome_.reset();
  last_lines_.Clear();
  sent_bytes_ = 0;
  Send(JobStartLine(job, options_.lane));
  unsent_bytes_max_ = unsent_.size() + kAnswersBytesMax;
  std::optional<MonotonicTime> kill_at;
  while (!outcome_ && !broken_) {
    if (process_.Exited()) {
      Finish();
      break;
    }
    Turn();
    const MonotonicTime now = SystemClock().Now();
    if (!kill_at && job.StopRequested()) {
      Send(kStopLine);
      kill_at = now + options_.term_grace;
    }
    if (kill_at && now >= *kill_at) Break("it did not end the job when it was told to stop");
  }
  std::optional<Outcome> outcome = OutcomeOfRun(kill_at.has_value());
  job_ = nullptr;
  return outcome;
}

std::optional<Outcome> KeptProcess::OutcomeOfRun(bool stopped) {
  // What it wrote to standard error before its outcome is there by now.
  ReadRest();
  const std::vector<std::string>& output = last_lines_.lines();
  if (outcome_) {
    if (auto* done = std::get_if<Done>(&*outcome_)) done->result = std::move(result_);
    if (auto* failed = std::get_if<Failed>(&*outcome_)) failed->output = output;
    if (auto* rejected = std::get_if<Rejected>(&*outcome_)) rejected->output = output;
    return std::move(outcome_);
  }
  if (died_ && Unread(process_.input) >= sent_bytes_) return std::nullopt;
  if (stopped) return Interrupted{};
  if (died_) return Crashed{why_, ErrorClassOf(*died_), output};
  return Failed{why_, "protocol", output};
}

void KeptProcess::AskToEnd() {
  process_.input.Close();
  process_.Signal(SIGTERM);
}

void KeptProcess::Turn() {
  process_.Wait(!unsent_.empty(), /*write_control=*/false);
  std::string_view left = unsent_;
  if (!WriteSome(process_.input, left)) process_.input.Close();
  sent_bytes_ += unsent_.size() - left.size();
  unsent_.erase(0, unsent_.size() - left.size());
  ReadOnce();
  // Most often this is its end, which is seen in a moment.
  if (!process_.output.open()) {
    const MonotonicTime now = SystemClock().Now();
    if (!output_closed_at_) output_closed_at_ = now;
    if (now - *output_closed_at_ >= options_.term_grace) Break("it closed its standard output");
  }
}

bool KeptProcess::ReadOnce() {
  // Standard error first: what was written before a line is read before it.
  const std::string_view errors = ReadSome(process_.error, buffer_);
  error_lines_.Append(errors);
  const bool any = !errors.empty();
  const std::string_view output = ReadSome(process_.output, buffer_);
  job_lines_.Append(output);
  return any || !output.empty();
}

void KeptProcess::ReadRest() {
  for (int reads = 0; reads < kReadsMax && ReadOnce(); ++reads) {
  }
}

void KeptProcess::OnJobLine(std::string_view text) {
  if (broken_) return;
  Result<JobLine> line = ReadJobLine(text);
  if (!line) return Break("its standard output: " + std::move(line).error().message);
  ready_ = ready_ || line->ready;
  if (*line == JobLine{.ready = true}) return;
  if (job_ == nullptr || outcome_) return Break("its standard output: a line while it had no job");
  const std::string answer = Apply(*line, *job_);
  if (unsent_.size() + answer.size() <= unsent_bytes_max_) Send(answer);
  if (line->result) result_ = *std::move(line->result);
  outcome_ = std::move(line->outcome);
}

void KeptProcess::Break(std::string why) {
  if (broken_) return;
  broken_ = true;
  why_ = std::move(why) + LastOf(last_lines_.lines());
}

void KeptProcess::Finish() {
  const ExitStatus status = process_.Reap();
  ReadRest();
  error_lines_.Finish();  // Not the job lines: one without its end was cut off by the death.
  if (!broken_) died_ = status;
  Break(Describe(status));
}

}  // namespace lanekeeper::handlers
