#include "operator/kubernetes/line_splitter.h"

#include <algorithm>

namespace lanekeeper::kubernetes {

Result<bool> LineSplitter::Add(std::string_view bytes,
                               const std::function<bool(std::string_view)>& on_line) {
  while (!bytes.empty()) {
    const std::size_t end = bytes.find('\n');
    if (pending_.size() + std::min(end, bytes.size()) > line_bytes_max_) {
      return Fail(ErrorKind::kRetryable,
                  "a line is longer than " + std::to_string(line_bytes_max_) + " bytes");
    }
    if (end == std::string_view::npos) {
      pending_ += bytes;
      return true;
    }
    std::string_view line = bytes.substr(0, end);
    bytes.remove_prefix(end + 1);
    std::string whole;
    if (!pending_.empty()) {
      pending_ += line;
      whole.swap(pending_);
      line = whole;
    }
    if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
    if (!line.empty() && !on_line(line)) return false;
  }
  return true;
}

}  // namespace lanekeeper::kubernetes
