// Jobs out of flags, files and lines, before anything is sent. Pure but for ReadInput.
#pragma once

#include <chrono>
#include <cstddef>
#include <istream>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "worker-runtime/base/result.h"
#include "worker-runtime/client/client.h"

namespace lanekeeper::jobs {

struct JobFlags {
  std::string lane;
  std::string type;
  std::string key;
  std::string timeout;               // "30s"
  std::string deadline;              // RFC 3339, or "10m" from now.
  std::vector<std::string> headers;  // "name=value"
};

// All but the payload. kInvalid names the flag.
Result<NewJob> ReadJobFlags(const JobFlags& flags, WallTime now);

// A time: RFC 3339, or a duration that is added to `now` (after) or taken from it. kInvalid.
Result<WallTime> ReadTime(std::string_view text, WallTime now, bool after);

// Lines of JSON, as the gateway takes them, blank ones left out: {"type", "lane", "payload" or
// "payload_base64", "idempotency_key", "timeout", "deadline", "headers"}. What a line does not say
// is as in `defaults`. kInvalid names the line and the field of the first that is wrong.
struct Line {
  std::size_t number = 1;
  NewJob job;
};
Result<std::vector<Line>> ReadLines(std::string_view text, const NewJob& defaults, WallTime now);

// All of a file, "-" for `in`. kInvalid when there is none, or more than `bytes_max`.
Result<std::string> ReadInput(const std::string& file, std::istream& in, std::size_t bytes_max);

}  // namespace lanekeeper::jobs
