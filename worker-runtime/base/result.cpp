#include "worker-runtime/base/result.h"

namespace lanekeeper {

std::string_view ToString(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kRetryable:
      return "retryable";
    case ErrorKind::kNotFound:
      return "not found";
    case ErrorKind::kInvalid:
      return "invalid";
    case ErrorKind::kForbidden:
      return "forbidden";
  }
  return "unknown";
}

}  // namespace lanekeeper
