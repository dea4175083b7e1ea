#include "operator/kubernetes/kubeconfig.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "operator/kubernetes/base64.h"
#include "operator/kubernetes/json_access.h"
#include "operator/manifest/yaml_json.h"
#include "worker-runtime/base/text.h"

namespace lanekeeper::kubernetes {
namespace {

using nlohmann::json;

Result<std::string> ReadFile(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  if (!stream) return Fail(ErrorKind::kNotFound, "cannot read " + file);
  return std::string(std::istreambuf_iterator<char>(stream), {});
}

std::string DirectoryOf(const std::string& file) {
  return std::filesystem::path(file).parent_path().string();
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

// A name or a value; kubectl would not take a number for one, but nobody is served by that.
std::string Text(const json& object, const std::string& key) {
  const json* value = At(object, {key});
  if (value == nullptr) return "";
  return value->is_string() ? value->get<std::string>() : value->is_number() ? value->dump() : "";
}

bool IsTrue(const json& object, const std::string& key) {
  const json* value = At(object, {key});
  if (value == nullptr) return false;
  return value->is_boolean() ? value->get<bool>() : *value == "true";
}

// Of one list of a kubeconfig.
struct Entry {
  json part;
  std::string directory;  // Of its file.
};
using Entries = std::map<std::string, Entry>;

// What one file says, or several of them together.
struct Merged {
  std::string current_context;
  Entries contexts;
  Entries clusters;
  Entries users;
};

// Entries that are there already stay.
void AddEntries(const json& root, const char* list, const char* part, const std::string& directory,
                Entries& entries) {
  for (const json& entry : ListAt(root, {list})) {
    const json* found = At(entry, {part});
    if (found == nullptr || !found->is_object()) continue;
    entries.try_emplace(Text(entry, "name"), Entry{*found, directory});
  }
}

Result<void> AddFile(std::string_view text, const std::string& directory, Merged& merged) {
  const auto documents = ReadYaml(std::string(text));
  if (!documents) return Wrap(documents.error(), "reading YAML");
  const json root = documents->empty() ? json() : documents->front().value;
  if (!root.is_object()) return Fail(ErrorKind::kInvalid, "this is not a kubeconfig");
  if (merged.current_context.empty()) merged.current_context = Text(root, "current-context");
  AddEntries(root, "contexts", "context", directory, merged.contexts);
  AddEntries(root, "clusters", "cluster", directory, merged.clusters);
  AddEntries(root, "users", "user", directory, merged.users);
  return {};
}

Result<const Entry*> Named(const Entries& entries, const char* part, const std::string& name) {
  const auto found = entries.find(name);
  if (found != entries.end()) return &found->second;
  return Fail(ErrorKind::kInvalid, std::string("there is no ") + part + " named \"" + name + "\"");
}

std::string PathFrom(const std::string& directory, const std::string& file) {
  if (file.empty() || std::filesystem::path(file).is_absolute()) return file;
  return (std::filesystem::path(directory) / file).string();
}

// `key`-data, decoded, or else the contents of the file named by `key`; empty when neither is
// there.
Result<std::string> Pem(const Entry& entry, const std::string& key) {
  const std::string encoded = Text(entry.part, key + "-data");
  if (!encoded.empty()) {
    std::optional<std::string> decoded = DecodeBase64Lines(encoded);
    if (!decoded) return Fail(ErrorKind::kInvalid, key + "-data is not base64");
    return *std::move(decoded);
  }
  const std::string file = Text(entry.part, key);
  if (file.empty()) return std::string();
  Result<std::string> contents = ReadFile(PathFrom(entry.directory, file));
  if (!contents) return Fail(ErrorKind::kInvalid, key + ": " + contents.error().message);
  return contents;
}

Result<void> SetCluster(const Entry& cluster, KubeConfig& config) {
  if (Result<void> server = SetServer(Text(cluster.part, "server"), config); !server) {
    return server;
  }
  Result<std::string> ca = Pem(cluster, "certificate-authority");
  if (!ca) return tl::unexpected<Error>(std::move(ca).error());
  config.ca_pem = *std::move(ca);
  config.tls_server_name = Text(cluster.part, "tls-server-name");
  config.insecure_skip_tls_verify = IsTrue(cluster.part, "insecure-skip-tls-verify");
  return {};
}

// Of a program that is told of the cluster: the authority's bytes, wherever they came from.
json ClusterToTell(const Entry& cluster, const KubeConfig& config) {
  json told = cluster.part;
  if (!config.ca_pem.empty()) told["certificate-authority-data"] = EncodeBase64(config.ca_pem);
  return told;
}

Result<void> SetUser(const std::string& name, const Entry& user, const Entry& cluster,
                     KubeConfig& config) {
  const json* exec = At(user.part, {"exec"});
  if (At(user.part, {"auth-provider"}) != nullptr) {
    return Fail(ErrorKind::kInvalid,
                "the user logs in with an auth-provider, which Kubernetes no longer knows; make "
                "the entry anew with your cloud's command line tool, which writes `exec`");
  }
  if (At(user.part, {"username"}) != nullptr) {
    return Fail(ErrorKind::kInvalid,
                "the user logs in with a password, which Kubernetes no longer knows; use a client "
                "certificate or a token");
  }
  Result<std::string> certificate = Pem(user, "client-certificate");
  if (!certificate) return tl::unexpected<Error>(std::move(certificate).error());
  Result<std::string> key = Pem(user, "client-key");
  if (!key) return tl::unexpected<Error>(std::move(key).error());
  if (certificate->empty() != key->empty()) {
    return Fail(ErrorKind::kInvalid,
                "client-certificate and client-key belong together, one of "
                "them is missing");
  }
  config.client_certificate_pem = *std::move(certificate);
  config.client_key_pem = *std::move(key);
  config.token = Text(user.part, "token");
  config.token_file = PathFrom(user.directory, Text(user.part, "tokenFile"));
  // As for kubectl, a token that is there is used, and the program not run.
  if (exec == nullptr || !config.token.empty() || !config.token_file.empty()) return {};
  Result<ExecLogin> login =
      ReadExecLogin(*exec, name, user.directory, ClusterToTell(cluster, config));
  if (!login) return tl::unexpected<Error>(std::move(login).error());
  config.exec = *std::move(login);
  return {};
}

Result<KubeConfig> Choose(const Merged& merged, const std::string& context_wanted) {
  const std::string context_name = context_wanted.empty() ? merged.current_context : context_wanted;
  if (context_name.empty()) {
    return Fail(ErrorKind::kInvalid,
                "there is no current-context; set one with `kubectl config use-context`");
  }
  const auto in_context = [&](Error error) {
    return Wrap(std::move(error), "context " + context_name);
  };
  const Result<const Entry*> context = Named(merged.contexts, "context", context_name);
  if (!context) return tl::unexpected<Error>(context.error());
  const json& chosen = (*context)->part;
  const Result<const Entry*> cluster = Named(merged.clusters, "cluster", Text(chosen, "cluster"));
  if (!cluster) return in_context(cluster.error());

  KubeConfig config;
  if (Result<void> set = SetCluster(**cluster, config); !set) {
    return in_context(std::move(set).error());
  }
  const std::string user_name = Text(chosen, "user");
  if (!user_name.empty()) {
    const Result<const Entry*> user = Named(merged.users, "user", user_name);
    if (!user) return in_context(user.error());
    if (Result<void> set = SetUser(user_name, **user, **cluster, config); !set) {
      return in_context(std::move(set).error());
    }
  }
  const std::string default_namespace = Text(chosen, "namespace");
  if (!default_namespace.empty()) config.default_namespace = default_namespace;
  return config;
}

std::vector<std::string> SplitPaths(const std::string& text) {
  std::vector<std::string> paths;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(':', begin), text.size());
    if (end > begin) paths.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return paths;
}

}  // namespace

std::optional<std::string> LookUpEnvironment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

Result<KubeConfig> ParseKubeConfig(std::string_view text, const std::string& directory,
                                   const std::string& context) {
  Merged merged;
  if (Result<void> added = AddFile(text, directory, merged); !added) {
    return tl::unexpected<Error>(std::move(added).error());
  }
  return Choose(merged, context);
}

Result<KubeConfig> ReadKubeConfig(const std::string& file, const std::string& context) {
  const Result<std::string> text = ReadFile(file);
  if (!text) return tl::unexpected<Error>(text.error());
  Result<KubeConfig> config = ParseKubeConfig(*text, DirectoryOf(file), context);
  if (!config) return Wrap(std::move(config).error(), file);
  return config;
}

Result<KubeConfig> ReadKubeConfigs(const std::vector<std::string>& files,
                                   const std::string& context) {
  Merged merged;
  std::string read;
  std::string all;
  for (const std::string& file : files) {
    all += (all.empty() ? "" : ":") + file;
    std::error_code ignored;
    if (!std::filesystem::exists(file, ignored)) continue;
    const Result<std::string> text = ReadFile(file);
    if (!text) return Fail(ErrorKind::kInvalid, text.error().message);
    if (Result<void> added = AddFile(*text, DirectoryOf(file), merged); !added) {
      return Wrap(std::move(added).error(), file);
    }
    read += (read.empty() ? "" : ":") + file;
  }
  if (read.empty()) return Fail(ErrorKind::kNotFound, "cannot read any of " + all);
  Result<KubeConfig> config = Choose(merged, context);
  if (!config) return Wrap(std::move(config).error(), read);
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
    const std::vector<std::string> files = SplitPaths(*named);
    if (files.size() != 1) return ReadKubeConfigs(files, context);
    return ReadKubeConfig(files.front(), context);
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

std::string ReadTokenFile(const std::string& file) {
  return WithoutSpaceAround(ReadFile(file).value_or(""));
}

}  // namespace lanekeeper::kubernetes
