#include "operator/local/local_port.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <string>
#include <system_error>

#include "worker-runtime/handlers/process.h"

namespace lanekeeper {

Result<int> FindPort(int wanted) {
  const handlers::Fd probe(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  // A port whose last connections are just closing is free for a listener.
  const int reuse = 1;
  setsockopt(probe.get(), SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<std::uint16_t>(wanted));
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  // Only listening tells: two sockets may be bound to one port.
  if (bind(probe.get(), generic, size) != 0 || listen(probe.get(), 1) != 0 ||
      getsockname(probe.get(), generic, &size) != 0) {
    const std::string why = std::generic_category().message(errno);
    return Fail(ErrorKind::kForbidden, "127.0.0.1:" + std::to_string(wanted) + ": " + why);
  }
  return static_cast<int>(ntohs(address.sin_port));
}

}  // namespace lanekeeper
