// The way to a gateway inside a cluster that needs no address of its own: through the API server,
// which hands requests on to a Service.
#pragma once

#include <memory>

#include "cli/remote/gateway_service.h"
#include "cli/remote/gateway_token.h"
#include "operator/kubernetes/api_client.h"
#include "worker-runtime/client/http_call.h"

namespace lanekeeper::cli {

// What the API server itself refuses (no right to services/proxy, no such Service, no pod behind
// it) is an Error, with its words; answers of the gateway are replies. A gateway that wants a token
// and was shown none: kForbidden, with the ways to give one.
std::unique_ptr<client::HttpCaller> MakeServiceProxy(std::shared_ptr<kubernetes::ApiClient> api,
                                                     const GatewayService& service,
                                                     std::unique_ptr<GatewayToken> token);

}  // namespace lanekeeper::cli
