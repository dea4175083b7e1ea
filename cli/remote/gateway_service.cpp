#include "cli/remote/gateway_service.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "worker-runtime/base/percent_encode.h"
#include "worker-runtime/base/time.h"

namespace lanekeeper::cli {
namespace {

using kubernetes::ObjectName;
using nlohmann::json;

constexpr kubernetes::Resource kServices{"/api/v1", "services", "v1", "Service"};
constexpr int kServicesMax = 100;  // Of one list; more than anybody chooses from.

json Part(const json& object, const char* field) {
  if (!object.is_object()) return {};
  const auto found = object.find(field);
  return found == object.end() ? json() : *found;
}
std::string Text(const json& object, const char* field) {
  const json part = Part(object, field);
  return part.is_string() ? part.get<std::string>() : std::string();
}

std::string PortOf(const json& port) {
  if (const std::string name = Text(port, "name"); !name.empty()) return name;
  const json number = Part(port, "port");
  return number.is_number_integer() ? number.dump() : std::string();
}

Result<GatewayService> ToService(const json& object) {
  const json metadata = Part(object, "metadata");
  GatewayService service{.name = {Text(metadata, "namespace"), Text(metadata, "name")}};
  const json ports = Part(Part(object, "spec"), "ports");
  const json* chosen = nullptr;
  for (const json& port : ports) {
    if (chosen == nullptr || Text(port, "name") == "api") chosen = &port;
  }
  if (chosen != nullptr) service.port = PortOf(*chosen);
  if (service.name.name.empty() || service.port.empty()) {
    return Fail(ErrorKind::kInvalid, "service " + ToString(service.name) + " has no port");
  }
  service.https = Text(*chosen, "appProtocol") == "https";
  service.trusted = service.name.object_namespace == kHomeNamespace;
  return service;
}

std::chrono::milliseconds TimeLeft(MonotonicTime end) {
  const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
  return std::max(left, std::chrono::milliseconds(1));
}

}  // namespace

Result<GatewayService> ReadGatewayService(std::string_view service_json) {
  return ToService(json::parse(service_json, nullptr, /*allow_exceptions=*/false));
}

Result<GatewayService> ChooseGatewayService(std::string_view list_json) {
  const json list = json::parse(list_json, nullptr, /*allow_exceptions=*/false);
  std::vector<GatewayService> found;
  for (const json& item : Part(list, "items")) {
    if (auto service = ToService(item)) found.push_back(*std::move(service));
  }
  if (found.empty()) {
    return Fail(ErrorKind::kNotFound, std::string("no Service has the labels ") + kGatewayLabels);
  }
  if (found.size() == 1) return found.front();
  const auto is_home = [](const GatewayService& service) { return service.trusted; };
  if (std::count_if(found.begin(), found.end(), is_home) == 1) {
    return *std::find_if(found.begin(), found.end(), is_home);
  }
  std::string names;
  for (const GatewayService& service : found) {
    names += (names.empty() ? "" : ", ") + ToString(service.name);
  }
  return Fail(ErrorKind::kInvalid,
              "the cluster has several gateways; name one with --gateway-service: " + names);
}

Result<GatewayService> FindGatewayService(kubernetes::Api& api, const std::string& own_namespace,
                                          std::chrono::milliseconds deadline) {
  const MonotonicTime end = std::chrono::steady_clock::now() + deadline;
  std::optional<Error> refused;
  for (const std::string& place : {std::string(), std::string(kHomeNamespace), own_namespace}) {
    const auto answer =
        api.Call(kubernetes::ListRequest(kServices, {.only_namespace = place,
                                                     .label_selector = kGatewayLabels,
                                                     .limit = kServicesMax,
                                                     .continue_token = {}}),
                 {.deadline = TimeLeft(end), .stop = {}});
    if (answer) {
      auto chosen = ChooseGatewayService(answer->body);
      // In all namespaces, or not at all; in one of them, or maybe in the next.
      if (chosen || place.empty() || chosen.error().kind != ErrorKind::kNotFound) return chosen;
      continue;
    }
    if (answer.error().kind != ErrorKind::kForbidden) {
      return tl::unexpected<Error>(answer.error());
    }
    if (!refused) refused = answer.error();
  }
  return Fail(ErrorKind::kForbidden, "finding the gateway's Service: " + refused->message +
                                         "; name it with --gateway-service NAMESPACE/NAME");
}

Result<ObjectName> ParseObjectName(std::string_view text, const std::string& flag) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos || slash == 0 || slash + 1 == text.size() ||
      text.find('/', slash + 1) != std::string_view::npos) {
    return Fail(ErrorKind::kInvalid, flag + " '" + std::string(text) + "': must be NAMESPACE/NAME");
  }
  return ObjectName{std::string(text.substr(0, slash)), std::string(text.substr(slash + 1))};
}

Result<GatewayService> GetGatewayService(kubernetes::Api& api, const ObjectName& name,
                                         std::chrono::milliseconds deadline) {
  const auto answer =
      api.Call(kubernetes::GetRequest(kServices, name), {.deadline = deadline, .stop = {}});
  if (!answer) return Wrap(answer.error(), "reading service " + ToString(name));
  auto service = ReadGatewayService(answer->body);
  if (service) service->trusted = true;
  return service;
}

std::string ProxyPath(const GatewayService& service) {
  return "/api/v1/namespaces/" + PercentEncode(service.name.object_namespace) + "/services/" +
         (service.https ? "https:" : "http:") + PercentEncode(service.name.name) + ":" +
         PercentEncode(service.port) + "/proxy";
}

}  // namespace lanekeeper::cli
