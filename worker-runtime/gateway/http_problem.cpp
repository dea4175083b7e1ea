#include "worker-runtime/gateway/http_problem.h"

#include <nlohmann/json.hpp>

namespace lanekeeper::gateway {

std::string WriteProblem(const Problem& problem, std::string_view request_id) {
  nlohmann::ordered_json json;
  json["type"] = std::string(kProblemBase).append(NameOf(problem.type));
  json["title"] = TitleOf(problem.type);
  json["status"] = StatusOf(problem.type);
  json["detail"] = problem.detail;
  if (!request_id.empty()) json["request_id"] = request_id;
  if (problem.retry_after) json["retry_after_seconds"] = problem.retry_after->count();
  // A detail may quote bytes of the request that are no text.
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

HttpReply ReplyOf(const Problem& problem, std::string_view request_id) {
  HttpReply reply{.status = StatusOf(problem.type),
                  .body = WriteProblem(problem, request_id),
                  .media = std::string(kProblemMedia)};
  if (problem.retry_after) {
    reply.headers.emplace_back("Retry-After", std::to_string(problem.retry_after->count()));
  }
  if (problem.type == ProblemType::kUnauthenticated) {
    reply.headers.emplace_back("WWW-Authenticate", "Bearer realm=\"lanekeeper\"");
  }
  return reply;
}

}  // namespace lanekeeper::gateway
