// Where the API server is and who we are to it: from a kubeconfig file, or from the files every pod
// finds mounted.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "operator/kubernetes/exec_credential.h"
#include "worker-runtime/base/result.h"

namespace lanekeeper::kubernetes {

// Everything is in memory but the token of `token_file`, which is renewed on disk by the kubelet,
// and what the program of `exec` prints.
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
  std::string token_file;         // Wins over `token`.
  std::optional<ExecLogin> exec;  // Never beside a token.
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
// Several, merged as kubectl does it: of a context, cluster or user that is in more than one of
// them, and of current-context, the first that has it counts, whole. Relative paths start where
// their file is. Files that are not there are passed over; kNotFound: none is.
Result<KubeConfig> ReadKubeConfigs(const std::vector<std::string>& files,
                                   const std::string& context);

inline constexpr const char* kServiceAccountDirectory =
    "/var/run/secrets/kubernetes.io/serviceaccount";
// kNotFound when this is not a pod of a cluster.
Result<KubeConfig> InClusterKubeConfig(const EnvironmentLookup& lookup,
                                       const std::string& directory = kServiceAccountDirectory);

// In this order: `file` when not empty (--kubeconfig), $KUBECONFIG (with ':' between several), the
// pod we run in, ~/.kube/config. kNotFound says where it looked.
Result<KubeConfig> FindKubeConfig(const std::string& file, const std::string& context,
                                  const EnvironmentLookup& lookup = LookUpEnvironment);

// The token in `file`, without space around; empty when it cannot be read.
std::string ReadTokenFile(const std::string& file);

}  // namespace lanekeeper::kubernetes
