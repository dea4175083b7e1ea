#include "worker-runtime/handlers/child_process.h"

#include <csignal>
#include <optional>
#include <utility>

#include "worker-runtime/base/clock.h"
#include "worker-runtime/handlers/job_lines.h"
#include "worker-runtime/handlers/lines.h"

namespace lanekeeper::handlers {
namespace {

constexpr int kLastReadsMax = 256;

// One running child, from its start to its end.
class Child {
 public:
  Child(Process process, std::string_view input, const ChildCallbacks& callbacks)
      : process_(std::move(process)),
        input_(input),
        callbacks_(callbacks),
        output_(kOutputLineBytesMax, LineSplitter::LongLines::kInPieces,
                [this](std::string_view line) { OnLine(line); }),
        job_lines_(kJobLineBytesMax, LineSplitter::LongLines::kCut,
                   [this](std::string_view line) { OnJobLine(line); }) {}

  ChildExit Run() {
    while (!process_.Exited()) {
      if (input_.empty()) process_.input.Close();
      process_.Wait(!input_.empty(), !answers_.empty());
      if (!WriteSome(process_.input, input_)) input_ = {};
      WriteAnswers();
      Read(process_.output, output_);
      Read(process_.control, job_lines_);
      StopIfAsked();
    }
    ChildExit ended{.stopped = kill_at_.has_value(), .status = process_.Reap()};
    // Bounded: something that left the group may go on writing.
    for (int reads = 0; reads < kLastReadsMax && Read(process_.output, output_); ++reads) {
    }
    for (int reads = 0; reads < kLastReadsMax && Read(process_.control, job_lines_); ++reads) {
    }
    output_.Finish();
    job_lines_.Finish();
    ended.last_lines = last_lines_.lines();
    return ended;
  }

 private:
  // False when nothing is there to be read now.
  bool Read(Fd& fd, LineSplitter& lines) {
    const std::string_view bytes = ReadSome(fd, buffer_);
    lines.Append(bytes);
    return !bytes.empty();
  }

  void OnLine(std::string_view line) {
    if (callbacks_.on_line) callbacks_.on_line(line);
    last_lines_.Add(line);
  }

  void OnJobLine(std::string_view line) {
    const std::string answer = callbacks_.on_job_line(line);
    if (reads_answers_ && answers_.size() + answer.size() <= kAnswersBytesMax) answers_ += answer;
    WriteAnswers();
  }

  void WriteAnswers() {
    std::string_view left = answers_;
    reads_answers_ = WriteSome(process_.control, left);
    // What it wrote before it closed its end is still to be read.
    if (!reads_answers_) left = {};
    answers_.erase(0, answers_.size() - left.size());
  }

  void StopIfAsked() {
    if (!kill_at_ && callbacks_.stop_requested && callbacks_.stop_requested()) {
      process_.Signal(SIGTERM);
      kill_at_ = SystemClock().Now() + callbacks_.term_grace;
    }
    if (kill_at_ && SystemClock().Now() >= *kill_at_) process_.Signal(SIGKILL);
  }

  Process process_;
  std::string_view input_;  // What is left of it.
  const ChildCallbacks& callbacks_;
  LineSplitter output_;
  LineSplitter job_lines_;
  LastLines last_lines_;
  std::string answers_;  // Not written yet.
  bool reads_answers_ = true;
  ReadBuffer buffer_;
  std::optional<MonotonicTime> kill_at_;
};

}  // namespace

Result<ChildExit> RunChild(const Command& command, std::string_view input,
                           const ChildCallbacks& callbacks) {
  Result<Process> process =
      Process::Start(command, {.control = static_cast<bool>(callbacks.on_job_line)});
  if (!process) return tl::unexpected(std::move(process).error());
  return Child(*std::move(process), input, callbacks).Run();
}

}  // namespace lanekeeper::handlers
