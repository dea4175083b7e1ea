#include "operator/kubernetes/pool_nats_json.h"

#include <algorithm>
#include <cctype>
#include <string>
#include <string_view>
#include <utility>

#include "operator/kubernetes/json_access.h"
#include "worker-runtime/job/names.h"
#include "worker-runtime/job/nats_settings.h"

namespace lanekeeper::kubernetes {
namespace {

using nlohmann::json;

constexpr std::size_t kUrlMax = 1024;
constexpr std::size_t kNameMax = 253;
// Readable by the owner, which is root, and by the group when the pod has one for its files.
// Without one nobody knows which user the image runs as: readable by all then, in the one
// container that has it.
constexpr int kModeForGroup = 0440;
constexpr int kModeForAll = 0444;

bool AllOf(std::string_view text, std::string_view also) {
  return std::ranges::all_of(text, [also](unsigned char c) {
    return std::isalnum(c) != 0 || also.find(static_cast<char>(c)) != std::string_view::npos;
  });
}

// "host", "host:4222", "[::1]:4222".
bool IsServer(std::string_view text) {
  std::string_view host = text;
  std::string_view rest;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos) return false;
    host = text.substr(1, end - 1);
    rest = text.substr(end + 1);
    if (!AllOf(host, ":.")) return false;
  } else {
    host = text.substr(0, text.find(':'));
    rest = text.substr(host.size());
    if (!AllOf(host, "._-")) return false;
  }
  if (host.empty()) return false;
  if (rest.empty()) return true;
  return rest.size() >= 2 && rest.size() <= 6 && rest.front() == ':' &&
         rest.find_first_not_of("0123456789", 1) == std::string_view::npos;
}

bool IsUrl(std::string_view text) {
  if (text.empty() || text.size() > kUrlMax) return false;
  while (true) {
    const std::size_t comma = text.find(',');
    std::string_view one = text.substr(0, comma);
    if (!one.starts_with("nats://") && !one.starts_with("tls://")) return false;
    if (!IsServer(one.substr(one.find("://") + 3))) return false;
    if (comma == std::string_view::npos) return true;
    text.remove_prefix(comma + 1);
  }
}

bool IsSecretName(std::string_view name) {
  const auto edge = [](unsigned char c) { return std::isalnum(c) != 0; };
  return !name.empty() && name.size() <= kNameMax && AllOf(name, "-.") && edge(name.front()) &&
         edge(name.back()) &&
         std::ranges::none_of(name, [](unsigned char c) { return std::isupper(c) != 0; });
}

std::string ReadSecretName(const Fields& fields) {
  if (fields.value() == nullptr) return "";
  std::string name = fields.Text("name", "");
  if (name.empty()) {
    fields.Refuse("name", "is missing");
  } else if (!IsSecretName(name)) {
    fields.Refuse("name", "must be the name of a Secret in the pool's own namespace");
  }
  return name;
}

SecretValue ReadSecretValue(const Fields& fields, const char* key) {
  SecretValue read{.secret = ReadSecretName(fields)};
  if (read.secret.empty()) return read;
  read.key = fields.Text("key", key);
  if (read.key.empty() || read.key.size() > kNameMax || !AllOf(read.key, "-._")) {
    fields.Refuse("key", "must be a key of a Secret: letters, digits and characters of - _ .");
  }
  return read;
}

bool IsInNatsFolder(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  const std::string folder = kNatsFolder;
  return path == folder || path.starts_with(folder + "/");
}

void RefuseMounts(const Fields& container) {
  for (const Fields& mount : container.List("volumeMounts")) {
    if (mount.Text("name", "") == kNatsVolume) {
      mount.Refuse("name", "\"lanekeeper-nats\" is the operator's: it is for the worker only");
    } else if (IsInNatsFolder(mount.Text("mountPath", ""))) {
      mount.Refuse("mountPath", "/var/run/lanekeeper/nats is the operator's: use another folder");
    }
  }
}

json Source(const std::string& secret,
            std::initializer_list<std::pair<std::string, const char*>> items) {
  json list = json::array();
  for (const auto& [key, path] : items) list.push_back({{"key", key}, {"path", path}});
  return {{"secret", {{"name", secret}, {"items", std::move(list)}}}};
}

void AddFile(json& variables, const char* variable, const char* file) {
  variables.push_back({{"name", variable}, {"value", std::string(kNatsFolder) + "/" + file}});
}

json& ListIn(json& object, const char* name) {
  json& list = object[name];
  if (!list.is_array()) list = json::array();
  return list;
}

}  // namespace

std::optional<PoolNats> ReadPoolNats(const Fields& fields) {
  if (fields.value() == nullptr) return std::nullopt;
  PoolNats nats;
  nats.url = fields.Text("url", "");
  if (nats.url.empty()) {
    fields.Refuse("url", "is missing");
  } else if (nats.url.find('@') != std::string::npos) {
    fields.Refuse("url", "must not have a user or password in it: use credentialsSecret");
  } else if (!IsUrl(nats.url)) {
    fields.Refuse("url",
                  "must be nats://host:port or tls://host:port, or several with commas between");
  }
  nats.credentials = ReadSecretValue(fields.Object("credentialsSecret"), "user.creds");
  const Fields tls = fields.Object("tls");
  nats.tls_ca = ReadSecretValue(tls.Object("caSecret"), "ca.crt");
  nats.tls_certificate_of = ReadSecretName(tls.Object("clientCertificateSecret"));
  return nats;
}

void RefuseNatsVolume(const Fields& pod_spec) {
  for (const Fields& volume : pod_spec.List("volumes")) {
    if (volume.Text("name", "") == kNatsVolume) {
      volume.Refuse("name", "\"lanekeeper-nats\" is the operator's: choose another name");
    }
  }
  for (const char* containers : {"containers", "initContainers", "ephemeralContainers"}) {
    for (const Fields& container : pod_spec.List(containers)) RefuseMounts(container);
  }
}

void AddPoolNats(const PoolNats& nats, json& pod_spec, json& worker, json& variables) {
  json sources = json::array();
  if (!nats.credentials.secret.empty()) {
    sources.push_back(Source(nats.credentials.secret, {{nats.credentials.key, "credentials"}}));
    AddFile(variables, kEnvNatsCredentials, "credentials");
  }
  if (!nats.tls_ca.secret.empty()) {
    sources.push_back(Source(nats.tls_ca.secret, {{nats.tls_ca.key, "ca.crt"}}));
    AddFile(variables, kEnvNatsTlsCa, "ca.crt");
  }
  if (!nats.tls_certificate_of.empty()) {
    sources.push_back(
        Source(nats.tls_certificate_of, {{"tls.crt", "tls.crt"}, {"tls.key", "tls.key"}}));
    AddFile(variables, kEnvNatsTlsCert, "tls.crt");
    AddFile(variables, kEnvNatsTlsKey, "tls.key");
  }
  if (sources.empty()) return;
  const bool has_group = At(pod_spec, {"securityContext", "fsGroup"}) != nullptr;
  // One folder of links that the kubelet exchanges at once: no half of a pair is ever read.
  ListIn(pod_spec, "volumes")
      .push_back({{"name", kNatsVolume},
                  {"projected",
                   {{"sources", std::move(sources)},
                    {"defaultMode", has_group ? kModeForGroup : kModeForAll}}}});
  ListIn(worker, "volumeMounts")
      .push_back({{"name", kNatsVolume}, {"mountPath", kNatsFolder}, {"readOnly", true}});
}

}  // namespace lanekeeper::kubernetes
