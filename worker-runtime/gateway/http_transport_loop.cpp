#include "worker-runtime/gateway/http_transport_loop.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstring>
#include <future>
#include <system_error>
#include <utility>
#include <vector>

#include "worker-runtime/base/log.h"
#include "worker-runtime/gateway/http_transport_stream.h"

namespace lanekeeper::gateway::transport {
namespace {

using std::chrono::milliseconds;

constexpr int kAcceptsPerTurn = 64;
constexpr milliseconds kPauseWithoutDescriptors{100};

std::string ErrorText(int error) { return std::system_category().message(error); }

std::string HostOf(const web::uri& address) {
  std::string host = web::uri::decode(address.host());
  if (host == "*" || host == "+") return "0.0.0.0";
  if (host.size() > 2 && host.front() == '[') host = host.substr(1, host.size() - 2);
  return host;
}

std::string NameOf(const web::uri& address) {
  return web::uri::decode(address.host()) + ":" + std::to_string(address.port());
}

std::string PathOf(const web::uri& address) {
  std::string path = web::uri::decode(address.path());
  if (path.empty() || path.back() != '/') path += '/';
  return path;
}

Result<int> Bind(const addrinfo& address, int backlog) {
  const int descriptor =
      socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, address.ai_protocol);
  const int on = 1;
  const int off = 0;
  if (descriptor >= 0) setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (descriptor >= 0 && address.ai_family == AF_INET6) {
    setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
  }
  if (descriptor < 0 || bind(descriptor, address.ai_addr, address.ai_addrlen) != 0 ||
      listen(descriptor, backlog > 0 ? backlog : SOMAXCONN) != 0) {
    const int error = errno;
    if (descriptor >= 0) close(descriptor);
    return Fail(ErrorKind::kInvalid, ErrorText(error));
  }
  return descriptor;
}

// A listening socket.
Result<int> Listen(const web::uri& address, int backlog) {
  addrinfo wanted{};
  wanted.ai_socktype = SOCK_STREAM;
  wanted.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const std::string port = std::to_string(address.port());
  const int failed = getaddrinfo(HostOf(address).c_str(), port.c_str(), &wanted, &found);
  if (failed != 0) return Fail(ErrorKind::kInvalid, gai_strerror(failed));
  auto descriptor = Bind(*found, backlog);
  freeaddrinfo(found);
  return descriptor;
}

std::string RemoteAddress(const sockaddr_storage& peer) {
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (peer.ss_family == AF_INET) {
    const auto* const v4 = reinterpret_cast<const sockaddr_in*>(&peer);
    inet_ntop(AF_INET, &v4->sin_addr, text.data(), text.size());
    return text.data();
  }
  const auto* const v6 = reinterpret_cast<const sockaddr_in6*>(&peer);
  if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
    inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], text.data(), text.size());
  } else {
    inet_ntop(AF_INET6, &v6->sin6_addr, text.data(), text.size());
  }
  return text.data();
}

}  // namespace

std::shared_ptr<Route> Endpoint::Find(const std::string& path) const {
  std::shared_ptr<Route> best;
  for (const auto& [prefix, route] : routes) {
    const bool within = path.compare(0, prefix.size(), prefix) == 0 ||
                        path.compare(0, std::string::npos, prefix, 0, prefix.size() - 1) == 0;
    if (within && (!best || prefix.size() > best->path.size())) best = route;
  }
  return best;
}

Loop::Loop(TransportOptions options, std::unique_ptr<TlsContext> tls)
    : options_(std::move(options)), tls_(std::move(tls)), deadlines_(options_.limits) {}

void Loop::Start() {
  if (running_.exchange(true)) return;
  io_.restart();
  work_.emplace(io_.get_executor());
  std::promise<void> ready;
  thread_ = std::thread([this, &ready] {
    // OpenSSL writes to sockets without MSG_NOSIGNAL.
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, nullptr);
    pthread_setname_np(pthread_self(), "http");
    thread_id_ = std::this_thread::get_id();
    ready.set_value();
    io_.run();
  });
  ready.get_future().wait();
}

void Loop::Stop() {
  if (!running_.exchange(false)) return;
  work_.reset();
  io_.stop();
  thread_.join();
  thread_id_ = std::thread::id();
  io_.restart();
  // What was cancelled lets go of its connection.
  io_.poll();
}

void Loop::CallAndWait(const std::function<void()>& task) {
  std::promise<void> done;
  Post([&] {
    task();
    done.set_value();
  });
  done.get_future().wait();
}

Result<void> Loop::Open(Listener& listener) {
  const web::uri& address = listener.uri();
  const std::string what = "listening on " + address.to_string();
  if (address.scheme() == "https" && !tls_) {
    return Fail(ErrorKind::kInvalid, what + ": there is no TLS certificate");
  }
  const std::string name = NameOf(address);
  Start();
  bool known = false;
  CallAndWait([&] { known = endpoints_.count(name) > 0; });
  int descriptor = -1;
  if (!known) {
    const auto listening = Listen(address, listener.configuration().backlog());
    if (!listening) {
      bool none_left = false;
      CallAndWait([&] { none_left = endpoints_.empty(); });
      if (none_left) Stop();
      return Wrap(listening.error(), what);
    }
    descriptor = *listening;
  }
  Result<void> added;
  CallAndWait([&] { added = AddRoute(listener, name, descriptor); });
  if (!added) return Wrap(added.error(), what);
  return {};
}

Result<void> Loop::AddRoute(Listener& listener, const std::string& name, int descriptor) {
  const bool https = listener.uri().scheme() == "https";
  std::shared_ptr<Endpoint>& slot = endpoints_[name];
  const bool is_new = !slot;
  if (is_new) {
    slot = std::make_shared<Endpoint>(io_);
    slot->name = name;
    slot->https = https;
    slot->acceptor.assign(descriptor);
  }
  if (slot->https != https) {
    return Fail(ErrorKind::kInvalid, "an address has either http or https");
  }
  auto route = std::make_shared<Route>();
  route->listener = &listener;
  route->path = PathOf(listener.uri());
  if (!slot->routes.emplace(route->path, route).second) {
    return Fail(ErrorKind::kInvalid, "there is a listener of this address and path already");
  }
  if (is_new) Accept(slot);
  return {};
}

void Loop::Accept(const std::shared_ptr<Endpoint>& endpoint) {
  endpoint->acceptor.async_wait(
      boost::asio::posix::descriptor_base::wait_read,
      [this, endpoint](const boost::system::error_code& error) {
        if (error || endpoint->closing) return;
        for (int n = 0; n < kAcceptsPerTurn && AcceptOne(endpoint); ++n) {
        }
        if (errno != EMFILE && errno != ENFILE) return Accept(endpoint);
        log::Warning("transport", "no_file_descriptors", {{"connections", connections_.load()}});
        endpoint->pause.expires_after(kPauseWithoutDescriptors);
        endpoint->pause.async_wait([this, endpoint](const boost::system::error_code& cancelled) {
          if (!cancelled && !endpoint->closing) Accept(endpoint);
        });
      });
}

// False: there is no further one, and errno says why.
bool Loop::AcceptOne(const std::shared_ptr<Endpoint>& endpoint) {
  sockaddr_storage peer{};
  socklen_t size = sizeof peer;
  const int descriptor =
      accept4(endpoint->acceptor.native_handle(), reinterpret_cast<sockaddr*>(&peer), &size,
              SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (descriptor < 0) return errno == EINTR || errno == ECONNABORTED;
  const bool room = connections_ < static_cast<std::int64_t>(options_.limits.connections_max);
  SslHandle ssl = endpoint->https && room ? tls_->NewSession(descriptor) : nullptr;
  if (!room || (endpoint->https && !ssl)) {
    close(descriptor);
    ++refused_;
    errno = 0;
    return true;
  }
  const int on = 1;
  setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const auto connection = std::make_shared<Connection>(*this, endpoint, descriptor, std::move(ssl),
                                                       RemoteAddress(peer));
  endpoint->connections.emplace(connection.get(), connection);
  ++connections_;
  connection->Start();
  errno = 0;
  return true;
}

void Loop::Remove(Endpoint& endpoint, Connection& connection) {
  if (endpoint.connections.erase(&connection) > 0) --connections_;
}

void Loop::Close(Listener& listener) {
  std::promise<void> closed;
  Post([&] { CloseRoute(listener, [&] { closed.set_value(); }); });
  closed.get_future().wait();
  bool none_left = false;
  CallAndWait([&] { none_left = endpoints_.empty(); });
  if (none_left) Stop();
}

void Loop::CloseRoute(Listener& listener, const std::function<void()>& closed) {
  const auto found = endpoints_.find(NameOf(listener.uri()));
  if (found == endpoints_.end()) return closed();
  const std::shared_ptr<Endpoint> endpoint = found->second;
  const auto place = endpoint->routes.find(PathOf(listener.uri()));
  if (place == endpoint->routes.end() || place->second->listener != &listener) return closed();
  const std::shared_ptr<Route> route = place->second;
  endpoint->routes.erase(place);
  if (endpoint->routes.empty()) {
    endpoint->closing = true;
    endpoints_.erase(found);
    boost::system::error_code ignored;
    endpoint->acceptor.close(ignored);
    endpoint->pause.cancel();
  }
  const auto timer = std::make_shared<boost::asio::steady_timer>(io_);
  route->on_idle = [this, endpoint, timer, closed] {
    timer->cancel();
    GiveUp(endpoint, nullptr);
    closed();
  };
  // Held until the connections are through: the last answer may end in the middle.
  ++route->exchanges;
  std::vector<std::shared_ptr<Connection>> connections;
  for (const auto& [raw, connection] : endpoint->connections) connections.push_back(connection);
  for (const auto& connection : connections) connection->Retire(*route);
  timer->expires_after(options_.limits.close_timeout);
  timer->async_wait([this, endpoint, route](const boost::system::error_code& cancelled) {
    if (!cancelled) GiveUp(endpoint, route);
  });
  route->OneLess();
}

// Closes the connections that answer requests of `route`; and all, when the endpoint closes.
void Loop::GiveUp(const std::shared_ptr<Endpoint>& endpoint, const std::shared_ptr<Route>& route) {
  std::vector<std::shared_ptr<Connection>> connections;
  for (const auto& [raw, connection] : endpoint->connections) {
    if (endpoint->closing || connection->Answers(route)) connections.push_back(connection);
  }
  for (const auto& connection : connections) connection->Close();
}

void Loop::Arm(Deadline& who, Wait what) {
  deadlines_.Arm(who, what);
  if (what != Wait::kNothing && !std::exchange(ticking_, true)) Tick();
}

void Loop::Tick() {
  ticker_.expires_after(deadlines_.tick());
  ticker_.async_wait([this](const boost::system::error_code&) {
    deadlines_.Sweep(Deadlines::Clock::now());
    ticking_ = !deadlines_.empty() && running_;
    if (ticking_) Tick();
  });
}

void Loop::Count(int status) {
  if (status == 400) ++malformed_;
  if (status == 408) ++timeouts_;
  if (status == 413) ++body_too_large_;
  if (status == 431) ++header_too_large_;
}

TransportCounts Loop::Counts() const {
  return {.connections = connections_,
          .requests = requests_,
          .connections_refused = refused_,
          .header_too_large = header_too_large_,
          .body_too_large = body_too_large_,
          .timeouts = timeouts_,
          .malformed = malformed_};
}

}  // namespace lanekeeper::gateway::transport
