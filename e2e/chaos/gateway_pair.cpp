#include "e2e/chaos/gateway_pair.h"

#include <cpprest/http_client.h>

#include <chrono>
#include <csignal>
#include <exception>
#include <thread>
#include <utility>

#include "worker-runtime/job/names.h"

namespace lanekeeper::e2e {
namespace {

constexpr std::chrono::seconds kReadyWithin{60};
constexpr std::chrono::milliseconds kReadyLook{10};

}  // namespace

GatewayPair::GatewayPair(std::string nats_url, std::filesystem::path folder)
    : nats_url_(std::move(nats_url)), folder_(std::move(folder)) {
  for (std::size_t gateway = 0; gateway < kGateways; ++gateway) {
    ports_.at(gateway) = FreePort();
    urls_.at(gateway) = "http://127.0.0.1:" + std::to_string(ports_.at(gateway));
    Start(gateway);
  }
}

void GatewayPair::Start(std::size_t gateway) {
  gateways_.at(gateway).emplace(
      std::vector<std::string>{ProgramBesideThis("lanekeeper-gateway")},
      Environment{{kEnvNatsUrl, nats_url_},
                  {"LANEKEEPER_GATEWAY_ADDRESS", "127.0.0.1:" + std::to_string(ports_.at(gateway))},
                  {"LANEKEEPER_GATEWAY_AUTH", "none"},
                  {kEnvHttpPort, "0"},
                  {kEnvLogLevel, "info"}},
      folder_ / ("gateway" + std::to_string(gateway) + ".log"));
}

void GatewayPair::Kill(std::size_t gateway) {
  gateways_.at(gateway)->Signal(SIGKILL);
  gateways_.at(gateway)->Wait();
}

bool GatewayPair::AwaitReady(std::size_t gateway) const {
  web::http::client::http_client_config config;
  config.set_timeout(std::chrono::seconds(2));
  const auto until = std::chrono::steady_clock::now() + kReadyWithin;
  while (std::chrono::steady_clock::now() < until) {
    try {
      web::http::client::http_client client(urls_.at(gateway), config);
      if (client.request(web::http::methods::GET, "/readyz").get().status_code() == 200)
        return true;
    } catch (const std::exception&) {
    }
    std::this_thread::sleep_for(kReadyLook);
  }
  return false;
}

}  // namespace lanekeeper::e2e
