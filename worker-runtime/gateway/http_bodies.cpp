// The request bodies of http_json.h.
#include <nlohmann/json.hpp>

#include <cmath>
#include <initializer_list>

#include "worker-runtime/base/duration.h"
#include "worker-runtime/base/text.h"
#include "worker-runtime/gateway/http_json.h"
#include "worker-runtime/gateway/http_target.h"
#include "worker-runtime/job/names.h"
#include "worker-runtime/job/rfc3339.h"

namespace lanekeeper::gateway {
namespace {

using Json = nlohmann::json;

constexpr std::size_t kFilterTextBytesMax = 128;
constexpr double kPerSecondMax = 100'000;

tl::unexpected<Problem> Invalid(std::string detail) {
  return Refuse(ProblemType::kInvalidRequest, std::move(detail));
}

Answer<Json> ReadObject(std::string_view text) {
  Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return Invalid("the body must be a JSON object");
  return json;
}

Answer<void> CheckFields(const Json& json, std::string_view where,
                         std::initializer_list<std::string_view> known) {
  for (const auto& [name, value] : json.items()) {
    bool found = false;
    for (const std::string_view field : known) found = found || name == field;
    if (found) continue;
    std::string all;
    for (const std::string_view field : known) {
      all.append(all.empty() ? "" : ", ").append(field);
    }
    return Invalid("there is no field " + std::string(where) + "\"" + Excerpt(name) +
                   "\"; the fields are " + all);
  }
  return {};
}

// Nothing when the field is absent.
Answer<std::optional<std::string>> ReadText(const Json& json, std::string_view where,
                                            const char* name) {
  const auto found = json.find(name);
  if (found == json.end()) return std::nullopt;
  if (!found->is_string()) {
    return Invalid(std::string(where) + name + " must be a string");
  }
  auto text = found->get<std::string>();
  if (!IsUtf8Text(text) || text.size() > 1024) {
    return Invalid(std::string(where) + name + " is too long, or has a NUL character in it");
  }
  return text;
}

Answer<std::optional<std::string>> ReadLane(const Json& json, std::string_view where) {
  auto lane = ReadText(json, where, "lane");
  if (lane && *lane && !CheckLaneKey({"n", "p", **lane})) {
    return Invalid(std::string(where) + "lane \"" + Excerpt(**lane) +
                   "\" is not a name: lower-case letters, digits and '-', at most 63");
  }
  return lane;
}

Answer<DeadFilter> ReadFilter(const Json& json) {
  const auto found = json.find("filter");
  if (found == json.end()) {
    return Invalid("filter is missing; {} stands for all dead letters of the pool");
  }
  if (!found->is_object()) return Invalid("filter must be an object");
  const auto known = CheckFields(*found, "filter.", {"lane", "type", "reason", "fingerprint"});
  if (!known) return tl::unexpected(known.error());
  DeadFilter filter;
  auto lane = ReadLane(*found, "filter.");
  if (!lane) return tl::unexpected(std::move(lane).error());
  filter.lane = *std::move(lane);
  for (const auto& [name, field] :
       {std::pair("type", &filter.type), std::pair("reason", &filter.reason),
        std::pair("fingerprint", &filter.fingerprint)}) {
    auto text = ReadText(*found, "filter.", name);
    if (!text) return tl::unexpected(std::move(text).error());
    if (*text && (*text)->size() > kFilterTextBytesMax) {
      return Invalid(std::string("filter.") + name + " is longer than anything it could match");
    }
    *field = *std::move(text);
  }
  return filter;
}

Answer<WallTime> ReadPauseEnd(const Json& json, WallTime now) {
  auto until = ReadText(json, "", "until");
  if (!until) return tl::unexpected(std::move(until).error());
  auto length = ReadText(json, "", "for");
  if (!length) return tl::unexpected(std::move(length).error());
  if (until->has_value() == length->has_value()) {
    return Invalid("either until (an RFC 3339 time) or for (such as 15m) is needed");
  }
  if (*length) {
    const Result<std::chrono::milliseconds> parsed = ParseDuration(**length);
    if (!parsed) return Invalid("for: " + parsed.error().message);
    if (*parsed <= std::chrono::milliseconds(0) || *parsed > kPauseMax) {
      return Invalid("for must be longer than 0s and at most 720h");
    }
    return now + *parsed;
  }
  const std::optional<WallTime> parsed = ParseRfc3339(**until);
  if (!parsed) return Invalid("until \"" + Excerpt(**until) + "\" is not an RFC 3339 time");
  if (*parsed <= now || *parsed > now + kPauseMax) {
    return Invalid("until must be in the future, by at most 720h");
  }
  return *parsed;
}

}  // namespace

Answer<ReplayRequest> ReadReplayMany(std::string_view text) {
  const Answer<Json> json = ReadObject(text);
  if (!json) return tl::unexpected(json.error());
  const auto known = CheckFields(*json, "", {"filter", "per_second", "lane"});
  if (!known) return tl::unexpected(known.error());
  Answer<DeadFilter> filter = ReadFilter(*json);
  if (!filter) return tl::unexpected(std::move(filter).error());
  ReplayRequest request{.filter = *std::move(filter)};
  if (const auto found = json->find("per_second"); found != json->end()) {
    const double rate = found->is_number() ? found->get<double>() : -1;
    if (!(rate >= 0) || rate > kPerSecondMax) {
      return Invalid("per_second must be a number from 0 (as fast as it goes) to 100000");
    }
    request.per_second = rate;
  }
  auto lane = ReadLane(*json, "");
  if (!lane) return tl::unexpected(std::move(lane).error());
  request.lane = lane->value_or("");
  return request;
}

Answer<std::string> ReadReplayOne(std::string_view text) {
  if (text.empty()) return std::string();
  const Answer<Json> json = ReadObject(text);
  if (!json) return tl::unexpected(json.error());
  const auto known = CheckFields(*json, "", {"lane"});
  if (!known) return tl::unexpected(known.error());
  auto lane = ReadLane(*json, "");
  if (!lane) return tl::unexpected(std::move(lane).error());
  return lane->value_or("");
}

Answer<DeadFilter> ReadDiscardMany(std::string_view text) {
  const Answer<Json> json = ReadObject(text);
  if (!json) return tl::unexpected(json.error());
  const auto known = CheckFields(*json, "", {"filter"});
  if (!known) return tl::unexpected(known.error());
  return ReadFilter(*json);
}

Answer<LanePause> ReadPause(std::string_view text, WallTime now) {
  const Answer<Json> json = ReadObject(text);
  if (!json) return tl::unexpected(json.error());
  const auto known = CheckFields(*json, "", {"until", "for", "reason"});
  if (!known) return tl::unexpected(known.error());
  const Answer<WallTime> until = ReadPauseEnd(*json, now);
  if (!until) return tl::unexpected(until.error());
  auto reason = ReadText(*json, "", "reason");
  if (!reason) return tl::unexpected(std::move(reason).error());
  if (reason->value_or("").size() > kPauseReasonBytesMax) {
    return Invalid("reason has more than 256 bytes");
  }
  return LanePause{.until = *until, .reason = reason->value_or("")};
}

}  // namespace lanekeeper::gateway
