#include "operator/local/local_port.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdint>
#include <string>

#include "worker-runtime/base/testing/eventually.h"
#include "worker-runtime/handlers/process.h"

namespace lanekeeper {
namespace {

using testing::HasSubstr;

// A listener on a port of the kernel's choice.
handlers::Fd Listen(int& port) {
  handlers::Fd listener(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(bind(listener.get(), generic, size), 0);
  EXPECT_EQ(listen(listener.get(), 1), 0);
  EXPECT_EQ(getsockname(listener.get(), generic, &size), 0);
  port = ntohs(address.sin_port);
  return listener;
}

TEST(LocalPortTest, ATakenPortIsRefusedByNameAndAFreeOneIsFound) {
  int port = 0;
  handlers::Fd listener = Listen(port);
  const Result<int> taken = FindPort(port);
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().kind, ErrorKind::kForbidden);
  EXPECT_THAT(taken.error().message, HasSubstr("127.0.0.1:" + std::to_string(port)));
  const Result<int> free = FindPort(0);
  ASSERT_TRUE(free) << free.error().message;
  EXPECT_GT(*free, 0);
  EXPECT_NE(*free, port);
  listener.Close();
  // Somebody else may take it meanwhile; then another is tried.
  EXPECT_TRUE(Eventually([&] {
    if (FindPort(port) == port) return true;
    Listen(port).Close();
    return false;
  }));
}

}  // namespace
}  // namespace lanekeeper
