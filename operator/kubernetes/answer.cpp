#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "operator/kubernetes/api.h"
#include "operator/kubernetes/json_access.h"

namespace lanekeeper::kubernetes {
namespace {

// The request was for an object of another uid, which something of the same name has replaced. Some
// resources answer 409 to that, others call the uid immutable; either way it is only old news.
bool IsAboutAnotherObject(const nlohmann::json& status) {
  for (const nlohmann::json& cause : ListAt(status, {"details", "causes"})) {
    if (TextAt(cause, {"field"}) == "metadata.uid") return true;
  }
  return false;
}

ErrorKind KindOf(int status) {
  switch (status) {
    case 404:
      return ErrorKind::kNotFound;
    case 401:
    case 403:
      return ErrorKind::kForbidden;
    case 408:
    case 409:
    case 410:
    case 425:
    case 429:
      return ErrorKind::kRetryable;
    default:
      return status >= 400 && status < 500 ? ErrorKind::kInvalid : ErrorKind::kRetryable;
  }
}

// The server's own words: Status.message, or the beginning of whatever a proxy in between wrote.
std::string MessageOf(const nlohmann::json& status, const std::string& body) {
  constexpr std::size_t kMessageBytesMax = 1024;
  std::string message = TextAt(status, {"message"});
  if (message.empty()) message = body.substr(0, kMessageBytesMax);
  std::replace_if(
      message.begin(), message.end(), [](unsigned char c) { return c < 0x20; }, ' ');
  return message.substr(0, kMessageBytesMax);
}

}  // namespace

Result<Answer> Accepted(Answer answer) {
  if (answer.status >= 200 && answer.status < 300) return answer;
  const nlohmann::json status = ParseJson(answer.body);
  std::string message = std::to_string(answer.status) + " " + MessageOf(status, answer.body);
  if (answer.retry_after) {
    message += ", retry after " + std::to_string(answer.retry_after->count()) + " s";
  }
  const ErrorKind kind =
      IsAboutAnotherObject(status) ? ErrorKind::kRetryable : KindOf(answer.status);
  return Fail(kind, std::move(message));
}

}  // namespace lanekeeper::kubernetes
