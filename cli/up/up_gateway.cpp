#include "cli/up/up_gateway.h"

#include <filesystem>
#include <system_error>
#include <utility>

#include "operator/local/local_port.h"
#include "operator/local/state_folder.h"
#include "worker-runtime/gateway/http_transport.h"
#include "worker-runtime/telemetry/telemetry_server.h"

namespace lanekeeper::up {
namespace {

// Of the HTTP library; requests are answered on threads of the gateway.
constexpr int kPoolThreads = 2;

tl::unexpected<Error> Refused(const std::string& why) {
  return Fail(ErrorKind::kForbidden, "--gateway-port: " + why +
                                         "; end what listens there, or give another port (0: a "
                                         "free one)");
}

}  // namespace

Result<int> FindGatewayPort(std::optional<int> wanted) {
  Result<int> port = FindPort(wanted.value_or(kGatewayPort));
  if (!port && !wanted) port = FindPort(0);
  if (!port) return Refused(port.error().message);
  return port;
}

UpGateway::UpGateway(nats::Connection& connection, int port, std::string file)
    : connection_(connection),
      port_(port),
      file_(std::move(file)),
      authorizer_(gateway::MakeOpenAuthorizer()) {}

std::string UpGateway::url() const { return "http://127.0.0.1:" + std::to_string(port_); }

Result<void> UpGateway::Open() {
  telemetry::SizeThreadPool(kPoolThreads);
  if (Result<void> installed = gateway::InstallTransport({}); !installed) {
    return Wrap(std::move(installed).error(), "preparing the gateway");
  }
  Result<std::unique_ptr<GatewayServer>> server = GatewayServer::Start(
      {.http = {.address = "127.0.0.1:" + std::to_string(port_)}}, connection_, *authorizer_);
  if (!server) return Refused(server.error().message);
  server_ = *std::move(server);
  return {};
}

Result<void> UpGateway::Announce() { return ReplaceFile(file_, url() + "\n"); }

void UpGateway::Drain() {
  if (server_ != nullptr) server_->Drain();
}

void UpGateway::Close() {
  if (server_ == nullptr) return;
  std::error_code ignored;
  std::filesystem::remove(file_, ignored);
  server_->Stop();
  server_.reset();
}

}  // namespace lanekeeper::up
