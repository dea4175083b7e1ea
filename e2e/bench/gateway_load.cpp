#include "e2e/bench/gateway_load.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <deque>
#include <stdexcept>
#include <string_view>

namespace lanekeeper::e2e {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kPatience{60};

// The length of the answer that `bytes` begin with; 0: it is not all there.
std::size_t AnswerLength(std::string_view bytes) {
  const std::size_t end = bytes.find("\r\n\r\n");
  if (end == std::string_view::npos) return 0;
  const std::string_view head = bytes.substr(0, end);
  const std::size_t at = head.find("\r\nContent-Length: ");
  const std::size_t body =
      at == std::string_view::npos ? 0 : std::strtoul(head.data() + at + 18, nullptr, 10);
  return bytes.size() < end + 4 + body ? 0 : end + 4 + body;
}

class Load {
 public:
  explicit Load(const LoadPlan& plan) : plan_(plan), clients_(plan.clients) {}

  LoadFigures Run() {
    epoll_ = epoll_create1(EPOLL_CLOEXEC);
    for (std::size_t n = 0; n < clients_.size(); ++n) {
      clients_[n].descriptor = ConnectTo(plan_.port, false);
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.u64 = n;
      epoll_ctl(epoll_, EPOLL_CTL_ADD, clients_[n].descriptor, &event);
      idle_.push_back(n);
    }
    const auto began = Clock::now();
    measured_from_ = began + plan_.warm_up;
    end_ = measured_from_ + plan_.duration;
    next_due_ = began;
    for (auto now = began; now < end_; now = Clock::now()) {
      BeginDue(now);
      Poll(now);
    }
    const std::chrono::duration<double> length = plan_.duration;
    figures_.answers_per_s = static_cast<double>(figures_.times_ms.size()) / length.count();
    for (const Client& client : clients_) close(client.descriptor);
    close(epoll_);
    return std::move(figures_);
  }

 private:
  struct Client {
    int descriptor = -1;
    Clock::time_point due{};
    std::string answer;
  };

  void BeginDue(Clock::time_point now) {
    if (plan_.rate <= 0) {
      while (!idle_.empty()) Begin(now);
      return;
    }
    const auto step =
        std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(1 / plan_.rate));
    while (next_due_ <= now && !idle_.empty()) {
      Begin(next_due_);
      next_due_ += step;
    }
  }

  void Begin(Clock::time_point due) {
    Client& client = clients_[idle_.front()];
    idle_.pop_front();
    client.due = due;
    const ssize_t sent =
        send(client.descriptor, plan_.request.data(), plan_.request.size(), MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(plan_.request.size())) {
      throw std::runtime_error("sending a request");
    }
  }

  void Poll(Clock::time_point now) {
    std::array<epoll_event, 64> events{};
    auto until = end_;
    if (plan_.rate > 0 && !idle_.empty()) until = std::min(until, next_due_);
    const auto wait = std::max(Clock::duration::zero(), until - now);
    const timespec timeout{
        std::chrono::duration_cast<std::chrono::seconds>(wait).count(),
        std::chrono::duration_cast<std::chrono::nanoseconds>(wait).count() % 1'000'000'000};
    const int count = epoll_pwait2(epoll_, events.data(), events.size(), &timeout, nullptr);
    for (int n = 0; n < count; ++n) Read(events[n].data.u64);
  }

  void Read(std::size_t which) {
    Client& client = clients_[which];
    std::array<char, 16384> buffer{};
    const ssize_t count = recv(client.descriptor, buffer.data(), buffer.size(), 0);
    if (count <= 0) throw std::runtime_error("reading an answer: the connection is gone");
    client.answer.append(buffer.data(), static_cast<std::size_t>(count));
    if (AnswerLength(client.answer) == 0) return;
    const auto now = Clock::now();
    if (now >= measured_from_ && now < end_) {
      figures_.times_ms.push_back(
          std::chrono::duration<double, std::milli>(now - client.due).count());
      ++figures_.by_status[std::atoi(client.answer.c_str() + 9)];
    }
    client.answer.clear();
    idle_.push_back(which);
  }

  const LoadPlan& plan_;
  std::vector<Client> clients_;
  std::deque<std::size_t> idle_;
  int epoll_ = -1;
  Clock::time_point measured_from_{};
  Clock::time_point end_{};
  Clock::time_point next_due_{};
  LoadFigures figures_;
};

}  // namespace

LoadFigures RunLoad(const LoadPlan& plan) { return Load(plan).Run(); }

int ConnectTo(int port, bool blocking) {
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (descriptor >= 0) close(descriptor);
    throw std::runtime_error("connecting to 127.0.0.1:" + std::to_string(port));
  }
  const int on = 1;
  setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (!blocking) fcntl(descriptor, F_SETFL, O_NONBLOCK);
  return descriptor;
}

HttpReply AskOnce(int port, const std::string& request) {
  int descriptor = -1;
  try {
    descriptor = ConnectTo(port, true);
  } catch (const std::runtime_error&) {
    return {};
  }
  const timeval patience{kPatience.count(), 0};
  setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  std::string_view left = request;
  while (!left.empty()) {
    const ssize_t sent = send(descriptor, left.data(), left.size(), MSG_NOSIGNAL);
    if (sent <= 0) break;
    left.remove_prefix(static_cast<std::size_t>(sent));
  }
  std::string answer;
  std::array<char, 65536> buffer{};
  while (AnswerLength(answer) == 0) {
    const ssize_t count = recv(descriptor, buffer.data(), buffer.size(), 0);
    if (count <= 0) break;
    answer.append(buffer.data(), static_cast<std::size_t>(count));
  }
  close(descriptor);
  if (AnswerLength(answer) == 0) return {};
  return {std::atoi(answer.c_str() + 9), answer.substr(answer.find("\r\n\r\n") + 4)};
}

std::string GetRequest(const std::string& path) {
  return "GET " + path + " HTTP/1.1\r\nHost: bench\r\n\r\n";
}

std::string PostRequest(const std::string& path, const std::string& type, const std::string& body) {
  return "POST " + path + " HTTP/1.1\r\nHost: bench\r\nContent-Type: " + type +
         "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

}  // namespace lanekeeper::e2e
