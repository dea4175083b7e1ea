#include "cli/lanes/pool_lanes.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "operator/kubernetes/worker_pool_json.h"

namespace lanekeeper::lanes {
namespace {

using cli::SecondsText;
using cli::TextAt;
using nlohmann::json;

json StatusOf(const json& pool, const std::string& lane) {
  for (const json& status : pool.value(json::json_pointer("/status/lanes"), json::array())) {
    if (status.is_object() && status.value("name", "") == lane) return status;
  }
  return json::object();
}

std::string SecondsAt(const json& lane, const std::string& pointer) {
  const json::json_pointer place(pointer);
  if (!lane.contains(place) || !lane.at(place).is_number_integer()) return "-";
  return SecondsText(lane.at(place).get<std::int64_t>());
}

std::string WorkersText(const json& lane) {
  return TextAt(lane, "/workers/ready") + "/" + TextAt(lane, "/workers/desired");
}

// How long the job that waits longest has waited.
std::string OldestText(const json& lane) {
  return lane.value("waiting", 0) > 0 ? SecondsAt(lane, "/oldestWaitSeconds") : "-";
}

// What keeps a lane is said before how it came to be so.
std::string LastText(const json& lane) {
  if (lane.value("paused", false)) {
    const std::string until = TextAt(lane, "/pause/until");
    return until == "-" ? "Paused." : "Paused until " + until + ".";
  }
  for (const char* pointer : {"/release", "/decision/message"}) {
    std::string text = TextAt(lane, pointer);
    if (text != "-") return text;
  }
  return "-";
}

}  // namespace

json LanesOf(const json& pool) {
  json lanes = json::array();
  for (const json& lane : pool.value("lanes", json::array())) {
    const std::string name = lane.value("name", "");
    json shown = StatusOf(pool, name);
    shown.erase("name");
    shown["namespace"] = pool.value("namespace", "");
    shown["pool"] = pool.value("pool", "");
    shown["lane"] = name;
    if (pool.value("paused", false)) shown["paused"] = true;
    if (const auto pause = lane.find("pause"); pause != lane.end()) {
      shown["paused"] = true;
      shown["pause"] = *pause;
    }
    lanes.push_back(std::move(shown));
  }
  return lanes;
}

std::vector<up::LaneRow> RowsOf(const json& pool) {
  const PoolStatus status = kubernetes::StatusFromJson(pool.value("status", json::object()).dump());
  std::vector<up::LaneRow> rows;
  for (const json& lane : pool.value("lanes", json::array())) {
    up::LaneRow row{
        .key = {pool.value("namespace", ""), pool.value("pool", ""), lane.value("name", "")},
        .status = {},
        .doubt = {}};
    const auto said = std::ranges::find(status.lanes, row.key.lane, &LaneStatus::name);
    if (said != status.lanes.end()) row.status = *said;
    rows.push_back(std::move(row));
  }
  return rows;
}

std::vector<cli::Column> LaneColumns() {
  const auto at = [](const char* pointer) {
    return [pointer](const json& lane) { return TextAt(lane, pointer); };
  };
  const auto seconds = [](const char* pointer) {
    return [pointer](const json& lane) { return SecondsAt(lane, pointer); };
  };
  return {{"LANE",
           [](const json& lane) {
             return lane.value("namespace", "") + "/" + lane.value("pool", "") + "/" +
                    lane.value("lane", "");
           }},
          {"WAITING", at("/waiting")},
          {"RUNNING", at("/running")},
          {"PARKED", at("/parked")},
          {"WORKERS", WorkersText},
          {"BUSY", at("/workers/busy"), /*wide=*/true},
          {"DRAINING", at("/workers/draining"), /*wide=*/true},
          {"DEAD", at("/deadLetters")},
          {"WAIT", seconds("/predictedWaitSeconds")},
          {"OLDEST", OldestText},
          {"REASON", at("/decision/reason"), /*wide=*/true},
          {"LAST DECISION", LastText}};
}

}  // namespace lanekeeper::lanes
