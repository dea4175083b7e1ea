// What tests against a real nats-server share. Tests never assert on time: they wait for an event,
// with a deadline that only a broken build reaches.
#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "worker-runtime/base/testing/eventually.h"
#include "worker-runtime/nats/connection.h"
#include "worker-runtime/nats/testing/nats_server.h"

namespace lanekeeper::nats {

inline constexpr std::chrono::seconds kTestDeadline{60};
// Of one answer to a test that asks again (Eventually): a server leaves a question unanswered now
// and then, about a stream that is just being made or has no leader.
inline constexpr std::chrono::seconds kAnswerDeadline{10};

using lanekeeper::Eventually;

// A running server, or a failed test that says why.
inline NatsServer RunServer(NatsServerOptions options = {}) {
  auto server = NatsServer::Run(std::move(options));
  if (!server) throw std::runtime_error(server.error().message);
  return *std::move(server);
}

inline std::unique_ptr<Connection> Connect(const std::string& url, ConnectOptions options = {}) {
  options.url = url;
  auto connection = Connection::Open(std::move(options));
  if (!connection) throw std::runtime_error(connection.error().message);
  EXPECT_TRUE((*connection)->WaitConnected(kTestDeadline)) << (*connection)->LastError();
  return *std::move(connection);
}

// Waits for the first connect that is told after its making. Connected() also holds for a while
// after the server has gone, and what belongs to the lost session fails a while after the new one
// is there: it has by then, and requests of the new one are not mistaken for those.
class NextConnect {
 public:
  explicit NextConnect(Connection& connection)
      : changes_(connection.OnChange([this](const ConnectionChange& change) {
          if (change.kind == ConnectionChange::Kind::kConnected) came_ = true;
        })) {}
  bool Wait() const {
    return Eventually([this] { return came_.load(); });
  }

 private:
  std::atomic<bool> came_{false};
  const std::unique_ptr<Registration> changes_;  // Last: it uses the other.
};

}  // namespace lanekeeper::nats
