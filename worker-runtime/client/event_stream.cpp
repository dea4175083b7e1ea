#include "worker-runtime/client/event_stream.h"

#include <utility>

namespace lanekeeper::client {

Result<std::vector<StreamEvent>> EventStream::Add(std::string_view bytes) {
  std::vector<StreamEvent> events;
  for (const char byte : bytes) {
    const bool lf_of_crlf = after_cr_ && byte == '\n';
    after_cr_ = byte == '\r';
    if (lf_of_crlf) continue;
    if (byte == '\r' || byte == '\n') {
      TakeLine(events);
      line_.clear();
      continue;
    }
    if (line_.size() + event_.data.size() >= event_bytes_max_) {
      return Fail(ErrorKind::kInvalid,
                  "an event is larger than " + std::to_string(event_bytes_max_) + " bytes");
    }
    line_.push_back(byte);
  }
  return events;
}

void EventStream::TakeLine(std::vector<StreamEvent>& events) {
  std::string_view line = line_;
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (std::exchange(first_line_, false) && line.starts_with(kByteOrderMark)) {
    line.remove_prefix(kByteOrderMark.size());
  }
  if (line.empty()) {
    if (has_data_) {
      event_.data.pop_back();  // The last line's end.
      events.push_back(event_);
    }
    has_data_ = false;
    event_.type = "message";
    event_.data.clear();
    return;
  }
  const std::size_t colon = line.find(':');
  const std::string_view field = line.substr(0, colon);
  std::string_view value = colon == std::string_view::npos ? "" : line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (field == "data") {
    has_data_ = true;
    event_.data.append(value).push_back('\n');
  } else if (field == "event") {
    event_.type = value.empty() ? "message" : value;
  } else if (field == "id" && value.find('\0') == std::string_view::npos) {
    event_.id = value;
  }
}

}  // namespace lanekeeper::client
