#include "worker-runtime/nats/pool_brief_json.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "worker-runtime/base/text.h"
#include "worker-runtime/job/codec.h"
#include "worker-runtime/job/rfc3339.h"
#include "worker-runtime/nats/json_text.h"

namespace lanekeeper::nats {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

constexpr int kBriefVersion = 1;
constexpr std::size_t kBriefBytesMax =
    256 * 1024;  // 16 lanes and the longest routes are under 32 KiB.
constexpr std::size_t kLanesMax = 16;
constexpr std::size_t kRoutesMax = 128;
constexpr std::size_t kReasonBytesMax = 256;
constexpr std::size_t kByBytesMax = 253;
constexpr std::size_t kQueueNameMax = 255;
constexpr std::array<std::string_view, 3> kClasses{"Short", "Long", "Gpu"};

// Reads the fields of one object and remembers the first one, of all objects read with the same
// `bad`, that is not what it should be.
class BriefFields {
 public:
  BriefFields(const json& object, std::string path, std::string& bad)
      : object_(object), path_(std::move(path)), bad_(bad) {
    if (!object_.is_object()) Bad("not an object");
  }

  // Missing, or with fewer or more bytes than that, is bad.
  std::string Text(const char* name, std::size_t bytes_min, std::size_t bytes_max) {
    const json* value = Find(name);
    if (value == nullptr || !value->is_string()) return Bad(name), std::string();
    const auto& text = value->get_ref<const std::string&>();
    if (text.size() < bytes_min || text.size() > bytes_max) return Bad(name), std::string();
    return text;
  }
  // `absent` when it is missing.
  std::int64_t Integer(const char* name, std::int64_t min, std::int64_t absent) {
    const json* value = Find(name);
    if (value == nullptr) return absent;
    if (!value->is_number_integer()) return Bad(name), absent;
    if (value->is_number_unsigned() &&
        value->get<std::uint64_t>() > static_cast<std::uint64_t>(kJsonIntegerMax)) {
      return Bad(name), absent;
    }
    const auto number = value->get<std::int64_t>();
    if (number < min) return Bad(name), absent;
    return number;
  }
  bool Flag(const char* name) {
    const json* value = Find(name);
    if (value == nullptr) return false;
    if (!value->is_boolean()) return Bad(name), false;
    return value->get<bool>();
  }
  const json* Find(const char* name) const {
    if (!object_.is_object()) return nullptr;
    const auto found = object_.find(name);
    return found == object_.end() ? nullptr : &*found;
  }
  void Bad(std::string_view name) {
    if (bad_.empty()) bad_ = path_ + std::string(name);
  }

 private:
  const json& object_;
  std::string path_;
  std::string& bad_;
};

json WriteAdmission(const AdmissionPolicy& admission) {
  json object = json::object();
  if (admission.wait_max) object["max_wait_ms"] = admission.wait_max->count();
  if (admission.caller_depth_max > 0) object["max_per_caller"] = admission.caller_depth_max;
  return object;
}

json WriteLane(const LaneBrief& lane) {
  json object = {{"name", lane.name},
                 {"class", lane.lane_class},
                 {"stream", lane.stream},
                 {"consumer", lane.consumer},
                 {"max_depth", lane.depth_max},
                 {"tracking", NameOf(lane.tracking)},
                 {"timeout_ms", lane.timeout.count()}};
  if (lane.external) object["external"] = true;
  if (json admission = WriteAdmission(lane.admission); !admission.empty()) {
    object["admission"] = std::move(admission);
  }
  return object;
}

AdmissionPolicy ReadAdmission(const json& value, const std::string& path, std::string& bad) {
  BriefFields fields(value, path, bad);
  AdmissionPolicy admission;
  if (const auto wait = fields.Integer("max_wait_ms", 1, 0); wait > 0) {
    admission.wait_max = milliseconds(wait);
  }
  admission.caller_depth_max = fields.Integer("max_per_caller", 1, 0);
  return admission;
}

LaneBrief ReadLane(const json& value, const std::string& path, std::string& bad) {
  BriefFields fields(value, path, bad);
  LaneBrief lane;
  lane.name = fields.Text("name", 1, 63);
  if (const json* lane_class = fields.Find("class")) {
    if (std::find(kClasses.begin(), kClasses.end(), *lane_class) == kClasses.end()) {
      fields.Bad("class");
    } else {
      lane.lane_class = lane_class->get<std::string>();
    }
  }
  lane.stream = fields.Text("stream", 1, kQueueNameMax);
  lane.consumer = fields.Text("consumer", 1, kQueueNameMax);
  lane.external = fields.Flag("external");
  lane.depth_max = fields.Integer("max_depth", 1, lane.depth_max);
  lane.timeout = milliseconds(fields.Integer("timeout_ms", 1, lane.timeout.count()));
  if (fields.Find("tracking") != nullptr) {
    const auto tracking = TrackingFromName(fields.Text("tracking", 1, 64));
    if (!tracking) fields.Bad("tracking");
    lane.tracking = tracking.value_or(lane.tracking);
  }
  if (const json* admission = fields.Find("admission")) {
    lane.admission = ReadAdmission(*admission, path + "admission.", bad);
  }
  return lane;
}

void ReadLanes(BriefFields& fields, PoolBrief& brief, std::string& bad) {
  const json* lanes = fields.Find("lanes");
  if (lanes == nullptr || !lanes->is_array() || lanes->empty() || lanes->size() > kLanesMax) {
    return fields.Bad("lanes");
  }
  for (const json& value : *lanes) {
    const std::string path = "lanes[" + std::to_string(brief.lanes.size()) + "].";
    LaneBrief lane = ReadLane(value, path, bad);
    if (brief.FindLane(lane.name) != nullptr || !CheckLaneKey(brief.KeyOf(lane))) {
      fields.Bad(path + "name");
    }
    brief.lanes.push_back(std::move(lane));
  }
}

void ReadRoutes(BriefFields& fields, PoolBrief& brief, std::string& bad) {
  const json* routes = fields.Find("routes");
  if (routes == nullptr) return;
  if (!routes->is_array() || routes->size() > kRoutesMax) return fields.Bad("routes");
  std::set<std::string> types;
  for (const json& value : *routes) {
    const std::string path = "routes[" + std::to_string(brief.routes.size()) + "].";
    BriefFields entry(value, path, bad);
    Route route{.type = entry.Text("type", 1, kJobTypeBytesMax), .lane = entry.Text("lane", 1, 63)};
    if (!types.insert(route.type).second) entry.Bad("type");
    if (brief.FindLane(route.lane) == nullptr) entry.Bad("lane");
    brief.routes.push_back(std::move(route));
  }
}

Result<json> Parse(std::string_view text, std::string_view what) {
  if (text.size() > kBriefBytesMax) {
    return Fail(ErrorKind::kInvalid, std::string(what) + ": more than 256 KiB");
  }
  json object = ParseJson(text);
  if (!object.is_object()) {
    return Fail(ErrorKind::kInvalid, std::string(what) + ": not a JSON object");
  }
  return object;
}

}  // namespace

std::string WritePoolBrief(const PoolBrief& brief) {
  json lanes = json::array();
  for (const LaneBrief& lane : brief.lanes) lanes.push_back(WriteLane(lane));
  json object = {{"v", kBriefVersion},     {"namespace", brief.pool_namespace},
                 {"pool", brief.pool},     {"routing", NameOf(brief.routing)},
                 {"paused", brief.paused}, {"lanes", std::move(lanes)}};
  if (!brief.routes.empty()) {
    json routes = json::array();
    for (const Route& route : brief.routes) {
      routes.push_back({{"type", route.type}, {"lane", route.lane}});
    }
    object["routes"] = std::move(routes);
  }
  return DumpJson(object);
}

Result<PoolBrief> ReadPoolBrief(std::string_view text) {
  const Result<json> object = Parse(text, "pool brief");
  if (!object) return tl::unexpected(object.error());
  std::string bad;
  BriefFields fields(*object, "", bad);
  PoolBrief brief;
  brief.pool_namespace = fields.Text("namespace", 1, 63);
  brief.pool = fields.Text("pool", 1, 63);
  if (fields.Find("routing") != nullptr) {
    const auto routing = RoutingFromName(fields.Text("routing", 1, 64));
    if (!routing) fields.Bad("routing");
    brief.routing = routing.value_or(brief.routing);
  }
  brief.paused = fields.Flag("paused");
  ReadLanes(fields, brief, bad);
  ReadRoutes(fields, brief, bad);
  if (!bad.empty()) return Fail(ErrorKind::kInvalid, "pool brief: " + bad);
  return brief;
}

std::string WriteLanePause(const LanePause& pause) {
  json object = {{"until", FormatRfc3339Nanos(pause.until)}};
  if (!pause.reason.empty()) object["reason"] = pause.reason;
  if (!pause.by.empty()) object["by"] = pause.by;
  return DumpJson(object);
}

Result<LanePause> ReadLanePause(std::string_view text) {
  const Result<json> object = Parse(text, "lane pause");
  if (!object) return tl::unexpected(object.error());
  std::string bad;
  BriefFields fields(*object, "", bad);
  LanePause pause;
  const auto until = ParseRfc3339(fields.Text("until", 1, 64));
  if (!until) fields.Bad("until");
  pause.until = until.value_or(WallTime{});
  if (fields.Find("reason") != nullptr) pause.reason = fields.Text("reason", 0, kReasonBytesMax);
  if (fields.Find("by") != nullptr) pause.by = fields.Text("by", 0, kByBytesMax);
  if (!bad.empty()) return Fail(ErrorKind::kInvalid, "lane pause: " + bad);
  return pause;
}

}  // namespace lanekeeper::nats
