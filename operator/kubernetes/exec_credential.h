// Logging in with a program, as kubeconfigs of managed clusters do (`exec` of a user): the program
// is run, and prints an ExecCredential of client.authentication.k8s.io.
#pragma once

#include <chrono>
#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "worker-runtime/base/result.h"
#include "worker-runtime/base/time.h"

namespace lanekeeper::kubernetes {

// What a request shows of who we are. Never logged.
struct Credential {
  std::string token;            // Empty: none.
  std::string certificate_pem;  // Both or none.
  std::string key_pem;
  bool operator==(const Credential&) const = default;
};

// Whether the program may ask the person at our terminal.
enum class Asking { kNever, kIfAvailable, kAlways };

// The `exec` of a user, checked: all that is needed to run it.
struct ExecLogin {
  std::string user;                      // Whose it is, for messages.
  std::string api_version;               // client.authentication.k8s.io/v1 or v1beta1.
  std::string command;                   // A path when it has a '/'; else looked up in PATH.
  std::vector<std::string> arguments;    // Without the program's name.
  std::vector<std::string> environment;  // "NAME=value", on top of ours.
  std::string install_hint;              // For who does not have the program.
  Asking asking = Asking::kIfAvailable;
  // spec.cluster of KUBERNETES_EXEC_INFO, as JSON; empty: the program is not told (it is with
  // provideClusterInfo).
  std::string cluster_json;
  bool operator==(const ExecLogin&) const = default;
};

// `exec` as it stands in a kubeconfig of `directory`, where a command with a relative path starts.
// `cluster` is told to the program if it wants that. kInvalid, naming user and field.
Result<ExecLogin> ReadExecLogin(const nlohmann::json& exec, const std::string& user,
                                const std::string& directory, const nlohmann::json& cluster);

// What a program is told in KUBERNETES_EXEC_INFO. Pure.
std::string ExecInfo(const ExecLogin& login, bool may_ask);

struct ExecCredential {
  Credential credential;
  std::optional<WallTime> expires;  // Nothing: when it is refused.
  bool operator==(const ExecCredential&) const = default;
};
// What a program printed. Pure. kForbidden says what is wrong with it, and quotes nothing of it.
Result<ExecCredential> ReadExecCredential(std::string_view output, const std::string& api_version);

struct ExecLimits {
  std::chrono::milliseconds time{60'000};
  std::chrono::milliseconds asking_time{300'000};  // Where a person may be answering.
  std::size_t output_bytes_max = 1 << 20;
};

// Runs the program and waits for its end. What it writes to standard error goes to ours, as it is.
// kForbidden: a person has to act: no such program, a bad exit or output, no terminal to ask at.
// kRetryable: out of time, or `stop`. Messages name user and command.
Result<ExecCredential> RunExecLogin(const ExecLogin& login, const std::stop_token& stop,
                                    const ExecLimits& limits = {});

}  // namespace lanekeeper::kubernetes
