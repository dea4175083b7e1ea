#include "cli/remote/find_target.h"

#include <utility>

namespace lanekeeper::cli {
namespace {

constexpr const char* kGatewayVariable = "LANEKEEPER_GATEWAY";

bool NamesCluster(const TargetFlags& flags) {
  return !flags.kubeconfig.empty() || !flags.context.empty() || !flags.gateway_service.empty();
}

Result<void> CheckFlags(const TargetFlags& flags) {
  const int named =
      (flags.gateway.empty() ? 0 : 1) + (flags.local ? 1 : 0) + (NamesCluster(flags) ? 1 : 0);
  if (named > 1) {
    return Fail(ErrorKind::kInvalid,
                "--gateway, --local and the flags of a cluster (--kubeconfig, --context, "
                "--gateway-service) each name another gateway: give one of them");
  }
  if (flags.timeout <= std::chrono::milliseconds(0)) {
    return Fail(ErrorKind::kInvalid, "--timeout: must be longer than nothing");
  }
  return {};
}

// One that was named and is not there is no reason to look elsewhere, and somebody may start it.
Result<Target> Named(Result<Target> target) {
  if (!target && target.error().kind == ErrorKind::kNotFound) {
    return Fail(ErrorKind::kRetryable, target.error().message);
  }
  return target;
}

}  // namespace

Result<Target> FindTarget(const TargetFlags& flags, const Places& places) {
  if (const auto checked = CheckFlags(flags); !checked) {
    return tl::unexpected<Error>(checked.error());
  }
  if (!flags.gateway.empty()) return places.url(flags.gateway);
  if (flags.local) return Named(places.local());
  if (NamesCluster(flags)) return Named(places.cluster(/*named=*/true));
  if (const auto url = places.environment(kGatewayVariable); url && !url->empty()) {
    auto target = places.url(*url);
    return target ? std::move(target)
                  : Result<Target>(Wrap(std::move(target).error(), kGatewayVariable));
  }
  Result<Target> cluster = places.cluster(/*named=*/false);
  // Several gateways in the cluster: which one is meant is not for us to guess.
  if (cluster || cluster.error().kind == ErrorKind::kInvalid) return cluster;
  Result<Target> local = places.local();
  if (local) return local;
  return Fail(ErrorKind::kRetryable,
              "there is no gateway to talk to: in the cluster: " + cluster.error().message +
                  "; on this machine: " + local.error().message +
                  "; name one with --gateway URL or LANEKEEPER_GATEWAY, --kubeconfig FILE, "
                  "--gateway-service NAMESPACE/NAME, or --state-folder DIR");
}

}  // namespace lanekeeper::cli
