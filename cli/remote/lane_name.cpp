#include "cli/remote/lane_name.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cli/remote/lane_paths.h"

namespace lanekeeper::cli {
namespace {

using nlohmann::json;

constexpr std::size_t kNamedMax = 20;  // In a message.

struct Pool {
  std::string pool_namespace;
  std::string pool;
  std::vector<std::string> lanes;

  bool Has(const std::string& lane) const {
    return std::find(lanes.begin(), lanes.end(), lane) != lanes.end();
  }
  std::string Name() const { return pool_namespace + "/" + pool; }
};

std::vector<Pool> ReadPools(const json& answer) {
  std::vector<Pool> pools;
  const auto list = answer.is_object() ? answer.find("pools") : answer.end();
  if (list == answer.end() || !list->is_array()) return pools;
  for (const json& item : *list) {
    if (!item.is_object()) continue;
    Pool pool{item.value("namespace", ""), item.value("pool", ""), {}};
    const auto lanes = item.find("lanes");
    if (lanes != item.end() && lanes->is_array()) {
      for (const json& lane : *lanes) {
        if (lane.is_string()) pool.lanes.push_back(lane.get<std::string>());
      }
    }
    pools.push_back(std::move(pool));
  }
  return pools;
}

std::vector<std::string> Split(std::string_view text) {
  std::vector<std::string> parts;
  while (true) {
    const std::size_t slash = text.find('/');
    parts.emplace_back(text.substr(0, slash));
    if (slash == std::string_view::npos) return parts;
    text.remove_prefix(slash + 1);
  }
}

tl::unexpected<ClientError> Refused(ErrorKind kind, std::string message) {
  return tl::unexpected<ClientError>(
      {.kind = kind, .message = std::move(message), .problem = {}, .status = 0, .retry_after = {}});
}

std::string Listed(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t n = 0; n < names.size() && n < kNamedMax; ++n) {
    text += (n == 0 ? "" : ", ") + names[n];
  }
  if (names.size() > kNamedMax) {
    text += " and " + std::to_string(names.size() - kNamedMax) + " more";
  }
  return text;
}

std::string Listed(const std::vector<Pool>& pools) {
  std::vector<std::string> names;
  names.reserve(pools.size());
  for (const Pool& pool : pools) names.push_back(pool.Name());
  return names.empty() ? "there are no pools" : "there are " + Listed(names);
}

// What one reading of a text asks for. Empty fields are not asked for.
struct Wanted {
  std::string pool_namespace;
  std::string pool;
  std::string lane;

  bool Fits(const Pool& have) const {
    return (pool_namespace.empty() || pool_namespace == have.pool_namespace) &&
           (pool.empty() || pool == have.pool) && (lane.empty() || have.Has(lane));
  }
};

std::vector<Wanted> Readings(const std::vector<std::string>& parts, bool with_lane) {
  switch (parts.size()) {
    case 1:
      return {{"", parts[0], ""}};
    case 2:
      if (with_lane) return {{"", parts[0], parts[1]}, {parts[0], parts[1], ""}};
      return {{parts[0], parts[1], ""}};
    case 3:
      if (with_lane) return {{parts[0], parts[1], parts[2]}};
      break;
    default:
      break;
  }
  return {};
}

}  // namespace

ClientResult<LaneName> ReadLaneName(std::string_view text, bool with_lane, const json& pools) {
  const std::vector<std::string> parts = Split(text);
  const std::vector<Wanted> readings = Readings(parts, with_lane);
  const std::string form = with_lane ? "[NAMESPACE/]POOL[/LANE]" : "[NAMESPACE/]POOL";
  const bool has_gap =
      !text.empty() &&
      std::any_of(parts.begin(), parts.end(), [](const std::string& part) { return part.empty(); });
  // "/LANE": of the only pool.
  const bool only_lane = with_lane && parts.size() == 2 && parts[0].empty() && !parts[1].empty();
  if (readings.empty() || (has_gap && !only_lane)) {
    return Refused(ErrorKind::kInvalid, "'" + std::string(text) + "' must be " + form);
  }
  const std::vector<Pool> have = ReadPools(pools);
  std::vector<LaneName> fitting;
  for (const Wanted& wanted : readings) {
    for (const Pool& pool : have) {
      if (only_lane && !wanted.pool_namespace.empty()) continue;
      if (wanted.Fits(pool)) fitting.push_back({pool.pool_namespace, pool.pool, wanted.lane});
    }
    if (only_lane) break;
  }
  if (fitting.size() == 1) return fitting.front();
  if (fitting.size() > 1) {
    std::vector<std::string> names;
    for (const LaneName& name : fitting) names.push_back(Shown(name));
    return Refused(ErrorKind::kInvalid,
                   (text.empty() ? "which pool?" : "which " + std::string(text) + "?") +
                       std::string(" name one of ") + Listed(names));
  }
  // The pool may be there without such a lane.
  for (const Wanted& wanted : readings) {
    for (const Pool& pool : have) {
      if (!wanted.lane.empty() && Wanted{wanted.pool_namespace, wanted.pool, ""}.Fits(pool)) {
        return Refused(ErrorKind::kNotFound, "pool " + pool.Name() + " has no lane " + wanted.lane +
                                                 "; it has " + Listed(pool.lanes));
      }
    }
  }
  return Refused(ErrorKind::kNotFound,
                 (text.empty() ? std::string("no pool") : "no pool " + std::string(text)) + "; " +
                     Listed(have));
}

}  // namespace lanekeeper::cli
