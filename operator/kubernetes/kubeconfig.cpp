#include "operator/kubernetes/kubeconfig.h"

#include <yaml-cpp/yaml.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>

#include "operator/kubernetes/base64.h"

namespace lanekeeper::kubernetes {
namespace {

Result<std::string> ReadFile(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) return Fail(ErrorKind::kNotFound, "cannot read " + file);
  return std::string(std::istreambuf_iterator<char>(stream), {});
}

std::string WithoutSpaceAround(const std::string& text) {
  constexpr const char* kSpace = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kSpace);
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

// Splits "https://host:6443/prefix" into the parts of `config`.
Result<void> SetServer(const std::string& server, KubeConfig& config) {
  const auto refuse = [&](const char* why) {
    return Fail(ErrorKind::kInvalid, "server \"" + server + "\" " + why);
  };
  std::string_view rest = server;
  const std::size_t scheme_end = rest.find("://");
  if (scheme_end == std::string_view::npos) return refuse("does not begin with https://");
  config.scheme = rest.substr(0, scheme_end);
  if (config.scheme != "https" && config.scheme != "http") return refuse("is not https or http");
  rest.remove_prefix(scheme_end + 3);

  const std::size_t path_begin = rest.find('/');
  if (path_begin != std::string_view::npos) {
    config.path = rest.substr(path_begin);
    while (!config.path.empty() && config.path.back() == '/') config.path.pop_back();
    rest = rest.substr(0, path_begin);
  }
  std::string_view port;
  if (!rest.empty() && rest.front() == '[') {
    const std::size_t end = rest.find(']');
    if (end == std::string_view::npos) return refuse("has an address without its ']'");
    config.host = rest.substr(1, end - 1);
    if (rest.size() > end + 1 && rest[end + 1] == ':') port = rest.substr(end + 2);
  } else {
    const std::size_t colon = rest.find(':');
    config.host = rest.substr(0, colon);
    if (colon != std::string_view::npos) port = rest.substr(colon + 1);
  }
  if (config.host.empty()) return refuse("names no host");
  if (port.find(':') != std::string_view::npos) {
    return refuse("has an IPv6 address that needs brackets, like https://[fd00::1]:6443");
  }
  config.port = config.scheme == "https" ? 443 : 80;
  if (port.empty()) return {};
  config.port = 0;
  for (const char c : port) {
    if (c < '0' || c > '9' || config.port > 65535) return refuse("has no valid port");
    config.port = config.port * 10 + (c - '0');
  }
  if (config.port < 1 || config.port > 65535) return refuse("has no valid port");
  return {};
}

std::string Text(const YAML::Node& node, const char* key) {
  const YAML::Node value = node[key];
  return value && value.IsScalar() ? value.as<std::string>() : std::string();
}

// The entry called `name` in one of the three lists of a kubeconfig; its part called `part`.
Result<YAML::Node> Named(const YAML::Node& root, const char* list, const char* part,
                         const std::string& name) {
  for (const YAML::Node& entry : root[list]) {
    if (Text(entry, "name") == name && entry[part] && entry[part].IsMap()) {
      return YAML::Node(entry[part]);
    }
  }
  return Fail(ErrorKind::kInvalid, std::string("there is no ") + part + " named \"" + name + "\"");
}

std::string PathFrom(const std::string& directory, const std::string& file) {
  if (file.empty() || std::filesystem::path(file).is_absolute()) return file;
  return (std::filesystem::path(directory) / file).string();
}

// `key`-data, decoded, or else the contents of the file named by `key`; empty when neither is
// there.
Result<std::string> Pem(const YAML::Node& node, const std::string& key,
                        const std::string& directory) {
  const std::string encoded = Text(node, (key + "-data").c_str());
  if (!encoded.empty()) {
    std::optional<std::string> decoded = DecodeBase64Lines(encoded);
    if (!decoded) return Fail(ErrorKind::kInvalid, key + "-data is not base64");
    return *std::move(decoded);
  }
  const std::string file = Text(node, key.c_str());
  if (file.empty()) return std::string();
  Result<std::string> contents = ReadFile(PathFrom(directory, file));
  if (!contents) return Fail(ErrorKind::kInvalid, key + ": " + contents.error().message);
  return contents;
}

Result<void> SetCluster(const YAML::Node& cluster, const std::string& directory,
                        KubeConfig& config) {
  if (Result<void> server = SetServer(Text(cluster, "server"), config); !server) return server;
  Result<std::string> ca = Pem(cluster, "certificate-authority", directory);
  if (!ca) return tl::unexpected<Error>(std::move(ca).error());
  config.ca_pem = *std::move(ca);
  config.tls_server_name = Text(cluster, "tls-server-name");
  config.insecure_skip_tls_verify = Text(cluster, "insecure-skip-tls-verify") == "true";
  return {};
}

Result<void> SetUser(const YAML::Node& user, const std::string& directory, KubeConfig& config) {
  for (const char* plugin : {"exec", "auth-provider"}) {
    if (!user[plugin]) continue;
    return Fail(ErrorKind::kInvalid,
                std::string("the user logs in with a program (") + plugin +
                    "), which is not supported yet; use a user with a client certificate or a "
                    "token, for example from `kubectl create token`");
  }
  if (user["username"]) {
    return Fail(ErrorKind::kInvalid,
                "the user logs in with a password, which Kubernetes no longer knows; use a client "
                "certificate or a token");
  }
  Result<std::string> certificate = Pem(user, "client-certificate", directory);
  if (!certificate) return tl::unexpected<Error>(std::move(certificate).error());
  Result<std::string> key = Pem(user, "client-key", directory);
  if (!key) return tl::unexpected<Error>(std::move(key).error());
  if (certificate->empty() != key->empty()) {
    return Fail(ErrorKind::kInvalid,
                "client-certificate and client-key belong together, one of "
                "them is missing");
  }
  config.client_certificate_pem = *std::move(certificate);
  config.client_key_pem = *std::move(key);
  config.token = Text(user, "token");
  config.token_file = PathFrom(directory, Text(user, "tokenFile"));
  return {};
}

Result<KubeConfig> FromYaml(const YAML::Node& root, const std::string& directory,
                            const std::string& context_wanted) {
  if (!root.IsMap()) return Fail(ErrorKind::kInvalid, "this is not a kubeconfig");
  const std::string context_name =
      context_wanted.empty() ? Text(root, "current-context") : context_wanted;
  if (context_name.empty()) {
    return Fail(ErrorKind::kInvalid,
                "there is no current-context; set one with `kubectl config use-context`");
  }
  const auto in_context = [&](Error error) {
    return Wrap(std::move(error), "context " + context_name);
  };
  const Result<YAML::Node> context = Named(root, "contexts", "context", context_name);
  if (!context) return tl::unexpected<Error>(context.error());
  const Result<YAML::Node> cluster = Named(root, "clusters", "cluster", Text(*context, "cluster"));
  if (!cluster) return in_context(cluster.error());

  KubeConfig config;
  if (Result<void> set = SetCluster(*cluster, directory, config); !set) {
    return in_context(std::move(set).error());
  }
  const std::string user_name = Text(*context, "user");
  if (!user_name.empty()) {
    const Result<YAML::Node> user = Named(root, "users", "user", user_name);
    if (!user) return in_context(user.error());
    if (Result<void> set = SetUser(*user, directory, config); !set) {
      return in_context(std::move(set).error());
    }
  }
  const std::string default_namespace = Text(*context, "namespace");
  if (!default_namespace.empty()) config.default_namespace = default_namespace;
  return config;
}

}  // namespace

std::optional<std::string> LookUpEnvironment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

Result<KubeConfig> ParseKubeConfig(std::string_view text, const std::string& directory,
                                   const std::string& context) {
  try {
    return FromYaml(YAML::Load(std::string(text)), directory, context);
  } catch (const YAML::Exception& error) {
    return Fail(ErrorKind::kInvalid, std::string("reading YAML: ") + error.what());
  }
}

Result<KubeConfig> ReadKubeConfig(const std::string& file, const std::string& context) {
  const Result<std::string> text = ReadFile(file);
  if (!text) return tl::unexpected<Error>(text.error());
  const std::string directory = std::filesystem::path(file).parent_path().string();
  Result<KubeConfig> config = ParseKubeConfig(*text, directory, context);
  if (!config) return Wrap(std::move(config).error(), file);
  return config;
}

Result<KubeConfig> InClusterKubeConfig(const EnvironmentLookup& lookup,
                                       const std::string& directory) {
  const std::optional<std::string> host = lookup("KUBERNETES_SERVICE_HOST");
  const std::optional<std::string> port = lookup("KUBERNETES_SERVICE_PORT");
  if (!host || !port) {
    return Fail(ErrorKind::kNotFound, "KUBERNETES_SERVICE_HOST and _PORT are not set");
  }
  KubeConfig config;
  const bool is_ipv6 = host->find(':') != std::string::npos;
  const std::string server = "https://" + (is_ipv6 ? "[" + *host + "]" : *host) + ":" + *port;
  if (Result<void> set = SetServer(server, config); !set) {
    return tl::unexpected<Error>(std::move(set).error());
  }
  Result<std::string> ca = ReadFile(directory + "/ca.crt");
  if (!ca) return tl::unexpected<Error>(std::move(ca).error());
  config.ca_pem = *std::move(ca);
  config.token_file = directory + "/token";
  if (const Result<std::string> token = ReadFile(config.token_file); !token) {
    return tl::unexpected<Error>(token.error());
  }
  if (const Result<std::string> own = ReadFile(directory + "/namespace"); own) {
    config.default_namespace = WithoutSpaceAround(*own);
  }
  return config;
}

Result<KubeConfig> FindKubeConfig(const std::string& file, const std::string& context,
                                  const EnvironmentLookup& lookup) {
  if (!file.empty()) return ReadKubeConfig(file, context);
  if (const std::optional<std::string> named = lookup("KUBECONFIG"); named) {
    if (named->find(':') != std::string::npos) {
      return Fail(ErrorKind::kInvalid,
                  "KUBECONFIG names several files, which is not supported; merge them with "
                  "`kubectl config view --flatten`");
    }
    return ReadKubeConfig(*named, context);
  }
  if (context.empty()) {
    Result<KubeConfig> pod = InClusterKubeConfig(lookup);
    if (pod || pod.error().kind != ErrorKind::kNotFound) return pod;
  }
  const std::string home_file = lookup("HOME").value_or("") + "/.kube/config";
  Result<KubeConfig> config = ReadKubeConfig(home_file, context);
  if (!config && config.error().kind == ErrorKind::kNotFound) {
    return Fail(
        ErrorKind::kNotFound,
        "no cluster to talk to: no --kubeconfig, no KUBECONFIG, not in a pod, and no " + home_file);
  }
  return config;
}

TokenSource::TokenSource(const KubeConfig& config)
    : file_(config.token_file), token_(config.token) {}

std::string TokenSource::Current(MonotonicTime now) {
  const std::lock_guard lock(mutex_);
  if (!file_.empty() && (!read_at_ || now - *read_at_ >= kTokenAge)) Read(now);
  return token_;
}

bool TokenSource::Renew(const std::string& refused, MonotonicTime now) {
  const std::lock_guard lock(mutex_);
  if (file_.empty()) return false;
  if (token_ == refused) Read(now);
  return token_ != refused;
}

void TokenSource::Read(MonotonicTime now) {
  read_at_ = now;
  const Result<std::string> contents = ReadFile(file_);
  if (contents && !WithoutSpaceAround(*contents).empty()) token_ = WithoutSpaceAround(*contents);
}

}  // namespace lanekeeper::kubernetes
