#include "worker-runtime/job/job.h"

#include <algorithm>
#include <cassert>

namespace lanekeeper {

std::optional<std::string_view> FindHeader(const Headers& headers, std::string_view name) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  for (const auto& [key, value] : headers) {
    if (std::equal(key.begin(), key.end(), name.begin(), name.end(),
                   [&lower](char a, char b) { return lower(a) == lower(b); })) {
      return value;
    }
  }
  return std::nullopt;
}

Job::Job(JobMessage message, JobHead head, int attempts_max, std::function<bool()> stop_requested)
    : message_(std::move(message)),
      head_(std::move(head)),
      attempts_max_(attempts_max),
      stop_requested_(std::move(stop_requested)) {
  assert(attempts_max_ >= 1);
}

}  // namespace lanekeeper
