#include "worker-runtime/runner/exec_handler.h"

#include <unistd.h>

#include <cassert>
#include <cstdlib>
#include <cstring>
#include <set>
#include <utility>

namespace lanekeeper::runner {
namespace {

std::vector<std::string> OwnEnvironment() {
  std::vector<std::string> variables;
  for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
    variables.emplace_back(*variable);
  }
  return variables;
}

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

// One write a line, so that the lines of several slots do not mix.
void WriteToStderr(const Job& job, std::string_view line) {
  std::string text = "job " + job.id() + ": ";
  text.append(line).append("\n");
  std::string_view left = text;
  while (!left.empty()) {
    const ssize_t written = write(STDERR_FILENO, left.data(), left.size());
    if (written <= 0) return;
    left.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace

std::vector<std::string> ChildEnvironment(const Job& job, const LaneKey& lane,
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
  add("LK_JOB_DELIVERY", std::to_string(job.delivery()));
  add("LK_JOB_ATTEMPTS", std::to_string(job.attempts_max()));
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

Outcome OutcomeOfExit(const ChildExit& exit) {
  if (exit.signal == 0 && exit.code == 0) return Done{};
  if (exit.stopped) return Interrupted{};
  std::string why = "exit code " + std::to_string(exit.code);
  if (exit.signal != 0) {
    const char* description = sigdescr_np(exit.signal);
    why = "killed by signal " + std::to_string(exit.signal);
    if (description != nullptr) why += " (" + std::string(description) + ")";
  }
  const char* separator = ": ";
  for (const std::string& line : exit.last_lines) {
    why += separator + line;
    separator = " | ";
  }
  if (exit.signal == 0 && exit.code == kExitRejected) return Rejected{why};
  return Failed{why};
}

Result<Handler> MakeExecHandler(ExecOptions options) {
  assert(!options.command.empty());
  const char* path = std::getenv("PATH");
  Result<std::string> program =
      ResolveProgram(options.command.front(), path == nullptr ? "/usr/bin:/bin" : path);
  if (!program) return tl::unexpected(std::move(program).error());
  if (!options.on_line) options.on_line = WriteToStderr;

  return Handler([options = std::move(options), program = *std::move(program),
                  inherited = OwnEnvironment()](Job& job) -> Outcome {
    const ChildCommand command{.program = program,
                               .arguments = options.command,
                               .environment = ChildEnvironment(job, options.lane, inherited)};
    const ChildCallbacks callbacks{
        .stop_requested = [&job] { return job.StopRequested(); },
        .on_line = [&](std::string_view line) { options.on_line(job, line); },
        .term_grace = options.term_grace};
    const Result<ChildExit> exit = RunChild(command, job.payload(), callbacks);
    if (!exit) return Failed{exit.error().message};
    return OutcomeOfExit(*exit);
  });
}

}  // namespace lanekeeper::runner
