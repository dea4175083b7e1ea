// Many HTTP clients in one thread: each has one request under way on a connection that is kept.
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

namespace lanekeeper::e2e {

struct LoadPlan {
  int port = 0;  // Of 127.0.0.1.
  int clients = 32;
  std::string request;  // The bytes of every request.
  std::chrono::milliseconds warm_up{1000};
  std::chrono::milliseconds duration{5000};
  // 0: each client asks again as soon as it is answered. Else requests per second, begun at even
  // times whether earlier ones are answered or not; a time counts from when its request was due.
  double rate = 0;
};

struct LoadFigures {
  double answers_per_s = 0;
  std::vector<double> times_ms;
  std::map<int, int> by_status;
};

// Throws std::runtime_error when a connection is lost.
LoadFigures RunLoad(const LoadPlan& plan);

struct HttpReply {
  int status = 0;  // 0: nobody answered.
  std::string body;
};
// One request on a connection of its own, waited for.
HttpReply AskOnce(int port, const std::string& request);

std::string GetRequest(const std::string& path);
std::string PostRequest(const std::string& path, const std::string& type, const std::string& body);

// A connected socket; throws.
int ConnectTo(int port, bool blocking);

}  // namespace lanekeeper::e2e
