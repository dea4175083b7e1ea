// Where the API server is and who we are to it: from a kubeconfig file, or from the files every pod
// finds mounted.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "worker-runtime/base/clock.h"
#include "worker-runtime/base/result.h"

namespace lanekeeper::kubernetes {

// Everything is in memory but the token of `token_file`, which is renewed on disk by the kubelet.
struct KubeConfig {
  std::string scheme = "https";  // https or http.
  std::string host;              // A name or an address; IPv6 without brackets.
  int port = 443;
  std::string path;             // In front of every request's path; empty, or "/k8s/clusters/c-1".
  std::string ca_pem;           // Empty: the system's certificate authorities.
  std::string tls_server_name;  // The name the certificate must be for, when it is not `host`.
  bool insecure_skip_tls_verify = false;
  std::string client_certificate_pem;  // Both or none.
  std::string client_key_pem;
  std::string token;
  std::string token_file;  // Wins over `token`.
  std::string default_namespace = "default";
  bool operator==(const KubeConfig&) const = default;
};

using EnvironmentLookup = std::function<std::optional<std::string>(const std::string& name)>;
// Of this process.
std::optional<std::string> LookUpEnvironment(const std::string& name);

// The text of a kubeconfig file. `directory` is where its relative paths start; an empty `context`
// means its current-context. Reads the certificate files it names. All errors are kInvalid.
Result<KubeConfig> ParseKubeConfig(std::string_view text, const std::string& directory,
                                   const std::string& context);
// kNotFound when there is no such file.
Result<KubeConfig> ReadKubeConfig(const std::string& file, const std::string& context);

inline constexpr const char* kServiceAccountDirectory =
    "/var/run/secrets/kubernetes.io/serviceaccount";
// kNotFound when this is not a pod of a cluster.
Result<KubeConfig> InClusterKubeConfig(const EnvironmentLookup& lookup,
                                       const std::string& directory = kServiceAccountDirectory);

// In this order: `file` when not empty (--kubeconfig), $KUBECONFIG, the pod we run in,
// ~/.kube/config. kNotFound says where it looked.
Result<KubeConfig> FindKubeConfig(const std::string& file, const std::string& context,
                                  const EnvironmentLookup& lookup = LookUpEnvironment);

// The token to send, read again when older than kTokenAge. Any thread.
class TokenSource {
 public:
  explicit TokenSource(const KubeConfig& config);

  // Empty: send none. When the file cannot be read, the last token that could be.
  std::string Current(MonotonicTime now);
  // After a 401 to `refused`: reads the file again. True: there is another token now.
  bool Renew(const std::string& refused, MonotonicTime now);

 private:
  void Read(MonotonicTime now);

  const std::string file_;
  std::mutex mutex_;
  std::string token_;
  std::optional<MonotonicTime> read_at_;
};

inline constexpr std::chrono::seconds kTokenAge{60};

}  // namespace lanekeeper::kubernetes
