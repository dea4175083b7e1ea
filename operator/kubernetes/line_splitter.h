// Cuts a stream of bytes into lines. Pure. Not thread-safe.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "worker-runtime/base/result.h"

namespace lanekeeper::kubernetes {

class LineSplitter {
 public:
  explicit LineSplitter(std::size_t line_bytes_max) : line_bytes_max_(line_bytes_max) {}

  // Hands every line that `bytes` completes to `on_line`, without its end; blank ones are skipped.
  // False when `on_line` returned false: nothing after that line was handed over. kRetryable when a
  // line is longer than the limit. A last line without an end is never handed over: half an object
  // is none.
  Result<bool> Add(std::string_view bytes, const std::function<bool(std::string_view)>& on_line);

 private:
  const std::size_t line_bytes_max_;
  std::string pending_;  // The beginning of a line whose end has not come yet.
};

}  // namespace lanekeeper::kubernetes
