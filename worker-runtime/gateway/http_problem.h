// Problems as HTTP answers: RFC 9457. Pure.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "worker-runtime/gateway/problem.h"

namespace lanekeeper::gateway {

inline constexpr std::string_view kProblemMedia = "application/problem+json";
inline constexpr std::string_view kProblemBase = "https://lanekeeper.dev/problems/";

// What is answered: status, body and the headers beside those that every answer has.
struct HttpReply {
  int status = 200;
  std::string body;
  std::string media = "application/json";  // Of the body; without one it is left out.
  std::vector<std::pair<std::string, std::string>> headers;
};

// {"type","title","status","detail","request_id","retry_after_seconds"}; without an id it is left
// out.
std::string WriteProblem(const Problem& problem, std::string_view request_id);
HttpReply ReplyOf(const Problem& problem, std::string_view request_id);

}  // namespace lanekeeper::gateway
