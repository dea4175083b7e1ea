#include "worker-runtime/handlers/exec_handler.h"

#include <fcntl.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>
#include <cstdlib>
#include <set>
#include <system_error>
#include <utility>

#include "worker-runtime/base/log.h"
#include "worker-runtime/handlers/job_lines.h"
#include "worker-runtime/handlers/lines.h"

namespace lanekeeper::handlers {
namespace {

std::string HeaderVariable(std::string_view header) {
  std::string name = "LK_HEADER_";
  for (const char c : header) {
    if (c >= 'a' && c <= 'z') {
      name += static_cast<char>(c - 32);
    } else if ((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) {
      name += c;
    } else {
      name += '_';
    }
  }
  return name;
}

bool IsOurs(std::string_view variable) {
  const std::string_view name = variable.substr(0, variable.find('='));
  return name.rfind("LK_JOB_", 0) == 0 || name.rfind("LK_HEADER_", 0) == 0 || name == "LK_LANE" ||
         name == "LK_POOL" || name == "LK_NAMESPACE" || name == "TRACEPARENT";
}

// The checkpoint of an earlier run, as a file that only the program's user can read. Gone with
// this.
class CheckpointFile {
 public:
  // Without a file when there is no checkpoint.
  static Result<CheckpointFile> Write(const std::string& checkpoint) {
    CheckpointFile file;
    if (checkpoint.empty()) return file;
    const char* folder = std::getenv("TMPDIR");
    std::string path =
        std::string(folder == nullptr ? "/tmp" : folder) + "/lanekeeper-checkpoint-XXXXXX";
    const Fd fd(mkostemp(path.data(), O_CLOEXEC));
    const auto problem = [&path] {
      return Fail(ErrorKind::kRetryable, "writing the checkpoint to " + path + ": " +
                                             std::generic_category().message(errno));
    };
    if (!fd.open()) return problem();
    file.path_ = path;
    for (std::string_view left = checkpoint; !left.empty();) {
      const ssize_t written = write(fd.get(), left.data(), left.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return problem();
      left.remove_prefix(static_cast<std::size_t>(written));
    }
    return file;
  }
  CheckpointFile(CheckpointFile&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  CheckpointFile& operator=(CheckpointFile&&) = delete;
  ~CheckpointFile() {
    if (!path_.empty()) unlink(path_.c_str());
  }
  const std::string& path() const { return path_; }

 private:
  CheckpointFile() = default;

  std::string path_;
};

Outcome RunProgram(const ExecOptions& options, const std::string& program,
                   const std::vector<std::string>& inherited, Job& job) {
  const Result<CheckpointFile> checkpoint = CheckpointFile::Write(job.checkpoint());
  if (!checkpoint) return Failed{checkpoint.error().message, "start"};
  std::string result;
  const auto on_job_line = [&](std::string_view text) -> std::string {
    Result<JobLine> line = ReadJobLine(text);
    if (!line) {
      log::Warning("exec", "bad_job_line", {{"job", job.id()}, {"error", line.error().message}});
      // It may have been a checkpoint that the program waits for.
      return CheckpointAnswer(tl::unexpected(std::move(line).error()));
    }
    if (line->result) result = *std::move(line->result);
    return Apply(*line, job);
  };
  const Command command{
      .program = program,
      .arguments = options.command,
      .environment = ChildEnvironment(job, options.lane, checkpoint->path(), inherited)};
  const Result<ChildExit> exit =
      RunChild(command, job.payload(),
               {.stop_requested = [&job] { return job.StopRequested(); },
                .on_line = [&](std::string_view line) { options.on_line(job, line); },
                .on_job_line = on_job_line,
                .term_grace = options.term_grace});
  if (!exit) return Failed{exit.error().message, "start"};
  return OutcomeOfExit(*exit, std::move(result));
}

}  // namespace

std::vector<std::string> ChildEnvironment(const Job& job, const LaneKey& lane,
                                          const std::string& checkpoint_path,
                                          const std::vector<std::string>& inherited) {
  std::vector<std::string> environment;
  for (const std::string& variable : inherited) {
    if (!IsOurs(variable)) environment.push_back(variable);
  }
  const auto add = [&environment](std::string_view name, std::string_view value) {
    if (value.size() > kEnvironmentValueBytesMax) return;
    if (value.find('\0') != std::string_view::npos) return;
    environment.push_back(std::string(name) + "=" + std::string(value));
  };
  add("LK_JOB_ID", job.id());
  add("LK_JOB_TYPE", job.type());
  add("LK_JOB_ATTEMPT", std::to_string(job.attempt()));
  add("LK_JOB_ATTEMPTS", std::to_string(job.attempts_max()));
  add("LK_JOB_RUN", std::to_string(job.run()));
  add("LK_JOB_FENCE", std::to_string(job.fence()));
  add("LK_JOB_DELIVERY", std::to_string(job.delivery()));
  add("LK_JOB_TIMEOUT_MS", std::to_string(job.timeout().count()));
  add("LK_JOB_FD", "3");
  if (!checkpoint_path.empty()) add("LK_JOB_CHECKPOINT", checkpoint_path);
  add("LK_LANE", lane.lane);
  add("LK_POOL", lane.pool);
  add("LK_NAMESPACE", lane.pool_namespace);
  if (!job.traceparent().empty()) add("TRACEPARENT", job.traceparent());
  std::set<std::string> names;
  for (const auto& [header, value] : job.headers()) {
    if (names.size() == kEnvironmentHeadersMax) break;
    if (header.size() > kEnvironmentValueBytesMax) continue;
    const auto [name, is_new] = names.insert(HeaderVariable(header));
    if (is_new) add(*name, value);
  }
  return environment;
}

Outcome OutcomeOfExit(const ChildExit& exit, std::string result) {
  const auto& [code, signal] = exit.status;
  if (signal == 0 && code == 0) return Done{std::move(result)};
  if (exit.stopped) return Interrupted{};
  std::string why = Describe(exit.status) + LastOf(exit.last_lines);
  std::string error_class = ErrorClassOf(exit.status);
  if (signal != 0) return Crashed{std::move(why), std::move(error_class), exit.last_lines};
  if (code == kExitRejected)
    return Rejected{std::move(why), std::move(error_class), exit.last_lines};
  return Failed{std::move(why), std::move(error_class), exit.last_lines};
}

Result<Handler> MakeExecHandler(ExecOptions options) {
  assert(!options.command.empty());
  Result<std::string> program = ResolveProgram(options.command.front(), OwnPath());
  if (!program) return tl::unexpected(std::move(program).error());
  if (!options.on_line) {
    options.on_line = [](const Job& job, std::string_view line) {
      WriteToStderr("job " + job.id(), line);
    };
  }
  return Handler([options = std::move(options), program = *std::move(program),
                  inherited = OwnEnvironment()](Job& job) {
    return RunProgram(options, program, inherited, job);
  });
}

}  // namespace lanekeeper::handlers
