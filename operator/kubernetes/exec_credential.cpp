#include "operator/kubernetes/exec_credential.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "operator/kubernetes/json_access.h"
#include "worker-runtime/base/clock.h"
#include "worker-runtime/base/text.h"
#include "worker-runtime/handlers/process.h"
#include "worker-runtime/job/rfc3339.h"

namespace lanekeeper::kubernetes {
namespace {

using handlers::Process;
using nlohmann::json;
using std::chrono::milliseconds;

constexpr const char* kVersion1 = "client.authentication.k8s.io/v1";
constexpr const char* kVersion1Beta1 = "client.authentication.k8s.io/v1beta1";
constexpr const char* kKind = "ExecCredential";
constexpr const char* kExecInfoVariable = "KUBERNETES_EXEC_INFO";
// The name of the part of a cluster that is for the program and nobody else.
constexpr const char* kClusterExtension = "client.authentication.k8s.io/exec";
// Of what the program says to the person; the rest of it is dropped.
constexpr std::size_t kErrorBytesMax = 64 << 10;
// From SIGTERM to SIGKILL.
constexpr milliseconds kTermGrace{2'000};
constexpr int kLastReadsMax = 256;

Result<Asking> ReadAsking(const json& exec, const std::string& api_version) {
  const std::string mode = TextAt(exec, {"interactiveMode"});
  if (mode == "Never") return Asking::kNever;
  if (mode == "IfAvailable") return Asking::kIfAvailable;
  if (mode == "Always") return Asking::kAlways;
  if (mode.empty() && api_version == kVersion1Beta1) return Asking::kIfAvailable;
  return Fail(ErrorKind::kInvalid,
              mode.empty()
                  ? std::string("interactiveMode: must be given with apiVersion ") + kVersion1 +
                        ": Never, IfAvailable or Always"
                  : "interactiveMode: '" + mode + "' must be Never, IfAvailable or Always");
}

Result<std::string> ReadVersion(const json& exec) {
  std::string version = TextAt(exec, {"apiVersion"});
  if (version == kVersion1 || version == kVersion1Beta1) return version;
  return Fail(ErrorKind::kInvalid,
              "apiVersion: '" + version + "' must be " + kVersion1 + " or " + kVersion1Beta1 +
                  "; make the entry anew with a newer version of your cloud's command line tool");
}

Result<std::vector<std::string>> ReadArguments(const json& exec) {
  std::vector<std::string> arguments;
  for (const json& argument : ListAt(exec, {"args"})) {
    if (!argument.is_string()) {
      return Fail(ErrorKind::kInvalid, "args: " + DumpJson(argument) + " must be text: quote it");
    }
    arguments.push_back(argument.get<std::string>());
  }
  return arguments;
}

Result<std::vector<std::string>> ReadEnvironment(const json& exec) {
  std::vector<std::string> environment;
  for (const json& variable : ListAt(exec, {"env"})) {
    const std::string name = TextAt(variable, {"name"});
    const json* value = At(variable, {"value"});
    if (name.empty() || name.find('=') != std::string::npos) {
      return Fail(ErrorKind::kInvalid, "env: each needs a name without '='");
    }
    if (value != nullptr && !value->is_string()) {
      return Fail(ErrorKind::kInvalid, "env: the value of " + name + " must be text: quote it");
    }
    environment.push_back(name + "=" + TextAt(variable, {"value"}));
  }
  return environment;
}

// As the program expects it: the fields of a kubeconfig's cluster, the authority as bytes.
std::string ClusterJson(const json& cluster) {
  json told{{"server", TextAt(cluster, {"server"})}};
  for (const char* name : {"tls-server-name", "insecure-skip-tls-verify",
                           "certificate-authority-data", "proxy-url", "disable-compression"}) {
    if (const json* value = At(cluster, {name})) told[name] = *value;
  }
  for (const json& extension : ListAt(cluster, {"extensions"})) {
    const json* value = At(extension, {"extension"});
    if (value != nullptr && TextAt(extension, {"name"}) == kClusterExtension) {
      told["config"] = *value;
    }
  }
  return DumpJson(told);
}

// A later value of a name wins, as in a shell.
void SetVariable(std::vector<std::string>& environment, const std::string& variable) {
  const std::string start = variable.substr(0, variable.find('=') + 1);
  std::erase_if(environment, [&](const std::string& other) {
    return other.compare(0, start.size(), start) == 0;
  });
  environment.push_back(variable);
}

std::vector<std::string> EnvironmentFor(const ExecLogin& login, bool may_ask) {
  std::vector<std::string> environment = handlers::OwnEnvironment();
  for (const std::string& variable : login.environment) SetVariable(environment, variable);
  SetVariable(environment, std::string(kExecInfoVariable) + "=" + ExecInfo(login, may_ask));
  return environment;
}

Result<bool> MayAsk(const ExecLogin& login) {
  if (login.asking == Asking::kNever) return false;
  const bool terminal = isatty(STDIN_FILENO) == 1;
  if (login.asking == Asking::kAlways && !terminal) {
    return Fail(ErrorKind::kForbidden,
                "it wants to ask somebody (interactiveMode: Always), and standard input is no "
                "terminal");
  }
  return terminal;
}

// One run of a program, from its start to its end.
class Run {
 public:
  Run(Process process, milliseconds time, std::size_t output_bytes_max)
      : process_(std::move(process)), time_(time), output_bytes_max_(output_bytes_max) {
    process_.input.Close();
  }

  // What it printed.
  Result<std::string> WaitForEnd(const std::stop_token& stop) {
    const MonotonicTime end = SystemClock().Now() + time_;
    while (!process_.Exited()) {
      process_.Wait(/*write_input=*/false, /*write_control=*/false);
      ReadBoth();
      const MonotonicTime now = SystemClock().Now();
      if (!kill_at_ && (stop.stop_requested() || now >= end || TooLong())) {
        process_.Signal(SIGTERM);
        kill_at_ = now + kTermGrace;
      }
      if (kill_at_ && now >= *kill_at_) process_.Signal(SIGKILL);
    }
    const handlers::ExitStatus status = process_.Reap();
    // Bounded: something that left the group may go on writing.
    for (int reads = 0; reads < kLastReadsMax && ReadBoth(); ++reads) {
    }
    if (TooLong()) {
      return Fail(ErrorKind::kForbidden,
                  "it printed more than " + std::to_string(output_bytes_max_) + " bytes");
    }
    if (kill_at_) {
      return Fail(ErrorKind::kRetryable,
                  stop.stop_requested()
                      ? "stopped"
                      : "it did not end within " + std::to_string(time_.count()) + " ms");
    }
    if (status.code != 0 || status.signal != 0) {
      return Fail(ErrorKind::kForbidden, handlers::Describe(status));
    }
    return std::move(output_);
  }

 private:
  bool TooLong() const { return output_.size() > output_bytes_max_; }

  // False: there is nothing to be read now.
  bool ReadBoth() {
    const std::string_view printed = ReadSome(process_.output, buffer_);
    if (!TooLong()) output_ += printed;
    const bool some = !printed.empty();  // Before the buffer is used again.
    const std::string_view said = ReadSome(process_.error, buffer_);
    const std::size_t shown = std::min(said.size(), kErrorBytesMax - shown_bytes_);
    shown_bytes_ += shown;
    // When nobody reads it, that is no reason not to log in.
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, said.data(), shown);
    return some || !said.empty();
  }

  Process process_;
  const milliseconds time_;
  const std::size_t output_bytes_max_;
  std::string output_;
  std::size_t shown_bytes_ = 0;
  handlers::ReadBuffer buffer_;
  std::optional<MonotonicTime> kill_at_;
};

Result<ExecCredential> RunIt(const ExecLogin& login, const std::stop_token& stop,
                             const ExecLimits& limits) {
  const Result<bool> may_ask = MayAsk(login);
  if (!may_ask) return tl::unexpected<Error>(may_ask.error());
  Result<std::string> program = handlers::ResolveProgram(login.command, handlers::OwnPath());
  if (!program) {
    return Fail(ErrorKind::kForbidden,
                program.error().message +
                    (login.install_hint.empty() ? "" : "; install it: " + login.install_hint));
  }
  handlers::Command command{.program = *program,
                            .arguments = {login.command},
                            .environment = EnvironmentFor(login, *may_ask)};
  command.arguments.insert(command.arguments.end(), login.arguments.begin(), login.arguments.end());
  Result<Process> process =
      Process::Start(command, {.separate_error = true, .our_input = *may_ask});
  if (!process) {
    const bool no_room = process.error().kind == ErrorKind::kRetryable;
    return Fail(no_room ? ErrorKind::kRetryable : ErrorKind::kForbidden, process.error().message);
  }
  const Result<std::string> output =
      Run(*std::move(process), *may_ask ? limits.asking_time : limits.time, limits.output_bytes_max)
          .WaitForEnd(stop);
  if (!output) return tl::unexpected<Error>(output.error());
  return ReadExecCredential(*output, login.api_version);
}

}  // namespace

Result<ExecLogin> ReadExecLogin(const json& exec, const std::string& user,
                                const std::string& directory, const json& cluster) {
  const auto in_user = [&user](const Error& error) {
    return Wrap(error, "user " + user + ": exec");
  };
  ExecLogin login{.user = user, .command = TextAt(exec, {"command"})};
  if (login.command.empty()) {
    return in_user({ErrorKind::kInvalid, "command: the program to run must be given"});
  }
  const bool is_path = login.command.find('/') != std::string::npos;
  if (is_path && login.command.front() != '/') {
    login.command = (std::filesystem::path(directory) / login.command).string();
  }
  Result<std::string> version = ReadVersion(exec);
  if (!version) return in_user(version.error());
  login.api_version = *std::move(version);
  const Result<Asking> asking = ReadAsking(exec, login.api_version);
  if (!asking) return in_user(asking.error());
  login.asking = *asking;
  Result<std::vector<std::string>> arguments = ReadArguments(exec);
  if (!arguments) return in_user(arguments.error());
  login.arguments = *std::move(arguments);
  Result<std::vector<std::string>> environment = ReadEnvironment(exec);
  if (!environment) return in_user(environment.error());
  login.environment = *std::move(environment);
  login.install_hint = TextAt(exec, {"installHint"});
  const json* told = At(exec, {"provideClusterInfo"});
  if (told != nullptr && told->is_boolean() && told->get<bool>()) {
    login.cluster_json = ClusterJson(cluster);
  }
  return login;
}

std::string ExecInfo(const ExecLogin& login, bool may_ask) {
  json spec{{"interactive", may_ask}};
  if (!login.cluster_json.empty()) spec["cluster"] = ParseJson(login.cluster_json);
  return DumpJson({{"apiVersion", login.api_version}, {"kind", kKind}, {"spec", spec}});
}

Result<ExecCredential> ReadExecCredential(std::string_view output, const std::string& api_version) {
  const auto refuse = [](std::string why) { return Fail(ErrorKind::kForbidden, std::move(why)); };
  const json printed = ParseJson(output);
  if (!printed.is_object() || TextAt(printed, {"kind"}) != kKind) {
    return refuse("what it printed is no ExecCredential in JSON");
  }
  if (const std::string version = TextAt(printed, {"apiVersion"}); version != api_version) {
    return refuse("it printed apiVersion '" + version.substr(0, 100) +
                  "', and the kubeconfig says " + api_version);
  }
  ExecCredential read{
      .credential = {.token = TextAt(printed, {"status", "token"}),
                     .certificate_pem = TextAt(printed, {"status", "clientCertificateData"}),
                     .key_pem = TextAt(printed, {"status", "clientKeyData"})},
      .expires = std::nullopt};
  if (read.credential.certificate_pem.empty() != read.credential.key_pem.empty()) {
    return refuse(
        "of status.clientCertificateData and status.clientKeyData it printed one and not both");
  }
  if (read.credential == Credential()) {
    return refuse("it printed neither status.token nor status.clientCertificateData");
  }
  if (const json* expires = At(printed, {"status", "expirationTimestamp"})) {
    read.expires = ParseRfc3339(expires->is_string() ? expires->get<std::string>() : "");
    if (!read.expires) return refuse("status.expirationTimestamp is no time of RFC 3339");
  }
  return read;
}

Result<ExecCredential> RunExecLogin(const ExecLogin& login, const std::stop_token& stop,
                                    const ExecLimits& limits) {
  Result<ExecCredential> credential = RunIt(login, stop, limits);
  if (credential) return credential;
  return Wrap(std::move(credential).error(),
              "user " + login.user + ": logging in with " + login.command);
}

}  // namespace lanekeeper::kubernetes
