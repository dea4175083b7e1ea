// The one thread of the transport: accepts, reads, writes and calls the handlers.
#pragma once

#include <cpprest/http_listener.h>

#include <array>
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <unordered_map>

#include "worker-runtime/gateway/http_transport_connection.h"

namespace lanekeeper::gateway::transport {

using Listener = web::http::experimental::listener::details::http_listener_impl;

// A listener that is open: the paths below `path` of an endpoint are its.
struct Route {
  Listener* listener = nullptr;
  std::string path;  // Ends in '/'.
  int exchanges = 0;
  std::function<void()> on_idle;

  void OneLess() {
    if (--exchanges == 0 && on_idle) std::exchange(on_idle, nullptr)();
  }
};

struct Endpoint {
  explicit Endpoint(boost::asio::io_context& io) : acceptor(io), pause(io) {}

  std::string name;  // "127.0.0.1:8080"
  bool https = false;
  bool closing = false;
  boost::asio::posix::stream_descriptor acceptor;
  boost::asio::steady_timer pause;  // After running out of file descriptors.
  std::map<std::string, std::shared_ptr<Route>> routes;
  std::unordered_map<Connection*, std::shared_ptr<Connection>> connections;

  // The route with the longest path that `path` lies in; null: none.
  std::shared_ptr<Route> Find(const std::string& path) const;
};

class Loop {
 public:
  static constexpr std::size_t kScratchBytes = 64 * 1024;

  Loop(TransportOptions options, std::unique_ptr<TlsContext> tls);

  // From another thread than the loop's, one at a time. kInvalid, naming the address.
  Result<void> Open(Listener& listener);
  // Returns when the listener's requests are answered, or given up after close_timeout.
  void Close(Listener& listener);
  void Stop();

  // Any thread.
  template <typename Task>
  void Post(Task&& task) {  // Later.
    if (running_) boost::asio::post(io_, std::forward<Task>(task));
  }
  bool InThread() const { return std::this_thread::get_id() == thread_id_.load(); }
  template <typename Task>
  void Run(Task&& task) {  // Now, when called by the loop's thread; else later.
    if (InThread()) {
      task();
    } else {
      Post(std::forward<Task>(task));
    }
  }
  TransportCounts Counts() const;
  const TransportLimits& limits() const { return options_.limits; }

  // The loop's thread.
  boost::asio::io_context& io() { return io_; }
  char* scratch() { return scratch_.data(); }
  void Arm(Deadline& who, Wait what);
  void Count(int status);
  void CountRequest() { ++requests_; }
  void Remove(Endpoint& endpoint, Connection& connection);
  std::size_t bodies_bytes = 0;

 private:
  void Start();
  void CallAndWait(const std::function<void()>& task);
  Result<void> AddRoute(Listener& listener, const std::string& name, int descriptor);
  void Accept(const std::shared_ptr<Endpoint>& endpoint);
  bool AcceptOne(const std::shared_ptr<Endpoint>& endpoint);
  void CloseRoute(Listener& listener, const std::function<void()>& closed);
  void GiveUp(const std::shared_ptr<Endpoint>& endpoint, const std::shared_ptr<Route>& route);
  void Tick();

  const TransportOptions options_;
  const std::unique_ptr<TlsContext> tls_;
  boost::asio::io_context io_{1};
  std::optional<boost::asio::executor_work_guard<boost::asio::io_context::executor_type>> work_;
  std::thread thread_;
  std::atomic<std::thread::id> thread_id_{};
  std::atomic<bool> running_{false};

  // The loop's thread.
  Deadlines deadlines_;
  boost::asio::steady_timer ticker_{io_};
  bool ticking_ = false;
  std::map<std::string, std::shared_ptr<Endpoint>> endpoints_;
  std::array<char, kScratchBytes> scratch_{};

  std::atomic<std::int64_t> connections_{0};
  std::atomic<std::int64_t> requests_{0};
  std::atomic<std::int64_t> refused_{0};
  std::atomic<std::int64_t> header_too_large_{0};
  std::atomic<std::int64_t> body_too_large_{0};
  std::atomic<std::int64_t> timeouts_{0};
  std::atomic<std::int64_t> malformed_{0};
};

// Makes the http_request and calls the listener that its path belongs to.
void HandOver(const ExchangePtr& exchange, const Endpoint& endpoint,
              const std::string& remote_address, RequestHead head, std::string body);

}  // namespace lanekeeper::gateway::transport
