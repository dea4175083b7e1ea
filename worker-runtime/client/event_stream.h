// Server-sent events out of the bytes of an answer. Pure.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "worker-runtime/base/result.h"

namespace lanekeeper::client {

struct StreamEvent {
  std::string id;    // The last one that was given, also by an event before.
  std::string type;  // "message" unless it says another.
  std::string data;  // Its lines with '\n' between.
  bool operator==(const StreamEvent&) const = default;
};

// As the HTML standard reads them: lines end in LF, CR or CRLF, and may come in any pieces. An
// event without data is none. Comments are heartbeats and left out.
class EventStream {
 public:
  explicit EventStream(std::size_t event_bytes_max) : event_bytes_max_(event_bytes_max) {}

  // The events that `bytes` completed. kInvalid when one is larger than event_bytes_max.
  Result<std::vector<StreamEvent>> Add(std::string_view bytes);

 private:
  void TakeLine(std::vector<StreamEvent>& events);

  const std::size_t event_bytes_max_;
  std::string line_;
  bool after_cr_ = false;
  bool first_line_ = true;
  bool has_data_ = false;
  StreamEvent event_{.id = {}, .type = "message", .data = {}};
};

}  // namespace lanekeeper::client
