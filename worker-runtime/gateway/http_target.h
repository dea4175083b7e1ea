// What stands in a request's target and headers, taken apart. Pure.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "worker-runtime/gateway/problem.h"

namespace lanekeeper::gateway {

struct HttpTarget {
  std::vector<std::string> segments;                       // Decoded; "/v1//jobs" has an empty one.
  std::vector<std::pair<std::string, std::string>> query;  // Decoded, in their order.
};
// `path` and `query` percent-encoded, as they were sent. An encoded slash is part of its segment,
// a '+' is a plus, "." and ".." are names like others. kInvalidRequest: not percent-encoding, or a
// control character.
Answer<HttpTarget> ParseTarget(std::string_view path, std::string_view query);

// Text of a request as it may stand in an answer or a log, cut to 80 bytes, on one line.
std::string Excerpt(std::string_view text);

// N of "wait=N" in a Prefer header; nothing when it has none. kInvalidRequest: not 0..60.
inline constexpr std::chrono::seconds kPreferWaitMax{60};
Answer<std::optional<std::chrono::seconds>> ParsePreferWait(std::string_view prefer);

// Whether an Accept header takes this media type; an empty one takes all.
bool Accepts(std::string_view accept, std::string_view media);

// "text/plain" of "Text/Plain; charset=utf-8".
std::string MediaTypeOf(std::string_view content_type);

// 1 to 128 letters, digits and "._-".
bool IsRequestId(std::string_view text);

// The token of "Bearer <token>", compared without case; empty for anything else.
std::string_view BearerToken(std::string_view authorization);

// Of a request's Authorization and Lanekeeper-Authorization headers: the second is for callers
// whose way here leads through a proxy that takes the first for itself, as the API server's. Empty:
// there is none. kInvalidRequest when both are given and differ.
Answer<std::string> CallerToken(std::string_view authorization, std::string_view own);

// Whether an If-None-Match header names this ETag (with its quotes), or any.
bool NamesETag(std::string_view if_none_match, std::string_view etag);

}  // namespace lanekeeper::gateway
