#include <algorithm>
#include <chrono>
#include <fstream>
#include <utility>

#include "cli/remote/find_target.h"
#include "cli/remote/gateway_service.h"
#include "cli/remote/gateway_token.h"
#include "cli/remote/service_proxy.h"

namespace lanekeeper::cli {
namespace {

using kubernetes::ApiClient;
using kubernetes::KubeConfig;
using std::chrono::milliseconds;

// A cluster that nobody named may be far away or gone: then the next place has its turn.
constexpr milliseconds kGlance{2'000};
constexpr const char* kDefaultState = ".lanekeeper";

Result<Target> AtUrl(const TargetFlags& flags, const std::string& url) {
  auto token = GivenToken(flags.token_file, kubernetes::LookUpEnvironment);
  if (!token) return tl::unexpected<Error>(std::move(token).error());
  // A file is named to the caller, which reads it again as tokens are renewed.
  std::string file = flags.token_file;
  if (file.empty()) file = kubernetes::LookUpEnvironment("LANEKEEPER_TOKEN_FILE").value_or("");
  auto http = client::MakeHttpCaller({.url = url,
                                      .token = file.empty() ? *token : "",
                                      .token_file = file,
                                      .ca_file = flags.ca_file});
  if (!http) return tl::unexpected<Error>(std::move(http).error());
  return Target{"the gateway at " + url, *std::move(http)};
}

Result<Target> OnThisMachine(const TargetFlags& flags) {
  const std::string folder = flags.state_folder.empty() ? kDefaultState : flags.state_folder;
  std::ifstream file(folder + "/gateway");
  std::string url;
  if (!file || !std::getline(file, url) || url.empty()) {
    return Fail(ErrorKind::kNotFound, "no `lanekeeper up` runs in the folder " + folder +
                                          " (there is no " + folder + "/gateway)");
  }
  const std::string where = "the local instance in " + folder + " (" + url + ")";
  auto target = AtUrl(flags, url);
  if (!target) return Wrap(std::move(target).error(), where);
  // The file of one that was killed stays. There is no other place to look at after this one, so
  // it may take its time: refused connections end at once.
  const auto alive = target->http->Call(
      {.method = "GET", .path = "/healthz", .headers = {}, .content_type = {}, .body = {}},
      std::chrono::steady_clock::now() + flags.timeout);
  if (!alive) {
    return Fail(ErrorKind::kNotFound, where + " does not answer: " + alive.error().message);
  }
  target->where = where;
  return target;
}

Result<GatewayService> FindService(const TargetFlags& flags, kubernetes::Api& api,
                                   const KubeConfig& config, milliseconds deadline) {
  if (flags.gateway_service.empty()) {
    return FindGatewayService(api, config.default_namespace, deadline);
  }
  const auto name = ParseObjectName(flags.gateway_service, "--gateway-service");
  if (!name) return tl::unexpected<Error>(name.error());
  return GetGatewayService(api, *name, deadline);
}

// An account of the gateway's own namespace is nothing that whoever made the Service there could
// not have; the person's own token is, so only a trusted one is shown that.
Result<std::unique_ptr<GatewayToken>> TokenFor(const TargetFlags& flags,
                                               const GatewayService& service, ApiClient& api) {
  auto given = GivenToken(flags.token_file, kubernetes::LookUpEnvironment);
  if (!given) return tl::unexpected<Error>(std::move(given).error());
  if (!given->empty()) return MakeFixedToken(*std::move(given));
  if (!flags.service_account.empty()) {
    auto account = ParseObjectName(flags.service_account, "--service-account");
    if (!account) return tl::unexpected<Error>(std::move(account).error());
    return MakeServiceAccountToken(api, *std::move(account));
  }
  const Result<std::string> own = api.Token();
  if (!own) return tl::unexpected<Error>(own.error());
  if (!own->empty() && service.trusted) return MakeKubeConfigToken(api);
  return MakeServiceAccountToken(api, {service.name.object_namespace, kDefaultServiceAccount});
}

Result<Target> InTheCluster(const TargetFlags& flags, bool named) {
  auto config = kubernetes::FindKubeConfig(flags.kubeconfig, flags.context);
  if (!config) {
    // One that cannot be used is none, unless it was asked for.
    return Fail(named ? config.error().kind : ErrorKind::kNotFound,
                (flags.kubeconfig.empty() ? "" : "--kubeconfig: ") + config.error().message);
  }
  if (config->exec && flags.unattended) config->exec->asking = kubernetes::Asking::kNever;
  auto created = ApiClient::Create(*config);
  if (!created) return tl::unexpected<Error>(std::move(created).error());
  const std::shared_ptr<ApiClient> api = *std::move(created);
  const auto service = FindService(flags, *api, *config, named ? flags.timeout : kGlance);
  if (!service) return tl::unexpected<Error>(service.error());
  auto token = TokenFor(flags, *service, *api);
  if (!token) return tl::unexpected<Error>(std::move(token).error());
  return Target{"the gateway " + ToString(service->name) + " of the cluster at " + config->host,
                MakeServiceProxy(api, *service, *std::move(token))};
}

}  // namespace

Places PlacesOf(const TargetFlags& flags) {
  return {.environment = kubernetes::LookUpEnvironment,
          .url = [&flags](const std::string& url) { return AtUrl(flags, url); },
          .cluster = [&flags](bool named) { return InTheCluster(flags, named); },
          .local = [&flags] { return OnThisMachine(flags); }};
}

}  // namespace lanekeeper::cli
