// The Service of a cluster's gateway: found by its labels, or read by its name.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

#include "operator/kubernetes/api.h"
#include "operator/kubernetes/object_names.h"
#include "worker-runtime/base/result.h"

namespace lanekeeper::cli {

// As charts/lanekeeper labels it.
inline constexpr const char* kGatewayLabels =
    "app.kubernetes.io/name=lanekeeper,app.kubernetes.io/component=gateway";
// Where Lanekeeper is installed unless somebody says otherwise.
inline constexpr const char* kHomeNamespace = "lanekeeper-system";

struct GatewayService {
  kubernetes::ObjectName name;
  bool https = false;
  std::string port;  // A name or a number.
  // It was named, or lies in kHomeNamespace: whoever may put a Service there is trusted. Somebody
  // else's Service may carry the labels too, and is not shown what it could use elsewhere.
  bool trusted = false;
  bool operator==(const GatewayService&) const = default;
};

// Of a Service: the port called "api", or else its first. kInvalid without a port.
Result<GatewayService> ReadGatewayService(std::string_view service_json);
// Of a ServiceList: the only one, or the only one in kHomeNamespace. kNotFound without any,
// kInvalid naming all of them when there are several.
Result<GatewayService> ChooseGatewayService(std::string_view list_json);

// Looks in all namespaces; where the person may not, in kHomeNamespace and in `own_namespace`.
// kNotFound, kForbidden, kRetryable; all within `deadline`.
Result<GatewayService> FindGatewayService(kubernetes::Api& api, const std::string& own_namespace,
                                          std::chrono::milliseconds deadline);
// "namespace/name". kInvalid when it is not that.
Result<kubernetes::ObjectName> ParseObjectName(std::string_view text, const std::string& flag);
Result<GatewayService> GetGatewayService(kubernetes::Api& api, const kubernetes::ObjectName& name,
                                         std::chrono::milliseconds deadline);

// "/api/v1/namespaces/NS/services/https:NAME:PORT/proxy", what a gateway's paths go behind.
std::string ProxyPath(const GatewayService& service);

}  // namespace lanekeeper::cli
