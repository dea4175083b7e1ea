// Who we are to the API server, now: tokens end, and programs make new ones.
#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>

#include "operator/kubernetes/exec_credential.h"
#include "operator/kubernetes/kubeconfig.h"
#include "worker-runtime/base/clock.h"
#include "worker-runtime/base/result.h"

namespace lanekeeper::kubernetes {

inline constexpr std::chrono::seconds kTokenAge{60};

// Of one KubeConfig. Its token; that of its file, read again when older than kTokenAge; or what its
// program prints, until that ends. The certificate of a KubeConfig outranks that of its program.
// Any thread: a program runs once at a time, others wait for what it prints.
class CredentialSource {
 public:
  // `clock` outlives this.
  CredentialSource(const KubeConfig& config, const Clock& clock);

  // Without a program it never fails: a token that is empty is not sent, and of a file that cannot
  // be read, it is the last one that could be. Else see RunExecLogin.
  Result<Credential> Current(const std::stop_token& stop);
  // After a 401 to `refused`: reads the file again, or runs the program again. True: there is
  // another one now.
  Result<bool> Renew(const Credential& refused, const std::stop_token& stop);

 private:
  void ReadToken();
  Result<void> Login(const std::stop_token& stop);

  const std::string file_;
  const std::optional<ExecLogin> login_;
  const bool own_certificate_;  // Not the program's.
  const Clock& clock_;
  std::mutex mutex_;
  Credential credential_;
  std::optional<MonotonicTime> read_at_;  // Of the file.
  bool logged_in_ = false;
  std::optional<WallTime> expires_;
};

}  // namespace lanekeeper::kubernetes
