#include "worker-runtime/gateway/pool_directory.h"

#include <cmath>
#include <functional>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <shared_mutex>
#include <utility>

#include "worker-runtime/base/clock.h"
#include "worker-runtime/base/log.h"
#include "worker-runtime/nats/kv_watch.h"
#include "worker-runtime/nats/pool_brief_json.h"

namespace lanekeeper::gateway {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

constexpr std::chrono::seconds kPredictionKept{15};
constexpr double kWaitMax_s = 10.0 * 365 * 24 * 3600;

// "<ns>.<pool>.spec", "….status", "….pause.<lane>"
struct PoolKey {
  std::string pool_namespace;
  std::string pool;
  std::string what;
  std::string lane;
};

std::optional<PoolKey> ReadKey(std::string_view key) {
  std::vector<std::string> tokens;
  while (true) {
    const std::size_t dot = key.find('.');
    tokens.emplace_back(key.substr(0, dot));
    if (dot == std::string_view::npos) break;
    key.remove_prefix(dot + 1);
  }
  const bool pause = tokens.size() == 4 && tokens[2] == "pause";
  if (!pause && tokens.size() != 3) return std::nullopt;
  PoolKey read{tokens[0], tokens[1], tokens[2], pause ? tokens[3] : std::string()};
  // Whatever becomes part of a subject later on is a name.
  if (!CheckLaneKey({read.pool_namespace, read.pool, pause ? read.lane : "lane"})) {
    return std::nullopt;
  }
  return read;
}

using Waits = std::map<std::string, milliseconds, std::less<>>;

// status.lanes[].predictedWaitSeconds, by lane; what is not as it should be is left out.
Waits ReadWaits(std::string_view status) {
  Waits waits;
  const json object = json::parse(status, nullptr, /*allow_exceptions=*/false);
  const auto lanes = object.is_object() ? object.find("lanes") : object.end();
  if (!object.is_object() || lanes == object.end() || !lanes->is_array()) return waits;
  for (const json& lane : *lanes) {
    if (!lane.is_object()) continue;
    const auto name = lane.find("name");
    const auto wait = lane.find("predictedWaitSeconds");
    if (name == lane.end() || !name->is_string() || wait == lane.end()) continue;
    if (!wait->is_number()) continue;
    const double wait_s = wait->get<double>();
    if (!(wait_s >= 0) || wait_s > kWaitMax_s) continue;
    waits[name->get<std::string>()] = milliseconds(std::llround(wait_s * 1000));
  }
  return waits;
}

class WatchedPools final : public PoolDirectory {
 public:
  explicit WatchedPools(nats::Connection& connection)
      : watch_(nats::KvWatch::Start(connection, {.bucket = std::string(kPoolBucket)},
                                    [this](const nats::KvEntry& entry) { Take(entry); })) {}

  std::shared_ptr<const PoolBrief> Find(std::string_view pool_namespace,
                                        std::string_view pool) const override {
    const std::shared_lock lock(mutex_);
    const Pool* found = FindPool(pool_namespace, pool);
    return found == nullptr ? nullptr : found->brief;
  }

  std::vector<std::shared_ptr<const PoolBrief>> List(
      std::string_view pool_namespace) const override {
    std::vector<std::shared_ptr<const PoolBrief>> briefs;
    const std::shared_lock lock(mutex_);
    for (const auto& [name, pool] : pools_) {
      if (!pool_namespace.empty() && name.first != pool_namespace) continue;
      if (pool.brief) briefs.push_back(pool.brief);
    }
    return briefs;
  }

  PoolStatusText Status(std::string_view pool_namespace, std::string_view pool) const override {
    const std::shared_lock lock(mutex_);
    const Pool* found = FindPool(pool_namespace, pool);
    return found == nullptr ? PoolStatusText{} : found->status;
  }

  std::optional<milliseconds> PredictedWait(const LaneKey& lane) const override {
    const std::shared_lock lock(mutex_);
    const Pool* found = FindPool(lane.pool_namespace, lane.pool);
    if (found == nullptr) return std::nullopt;
    const auto wait = found->waits.find(lane.lane);
    if (wait == found->waits.end()) return std::nullopt;
    if (SystemClock().WallNow() - found->status.written_at >= kPredictionKept) return std::nullopt;
    return wait->second;
  }

  std::optional<LanePause> PauseOf(const LaneKey& lane) const override {
    const std::shared_lock lock(mutex_);
    const Pool* found = FindPool(lane.pool_namespace, lane.pool);
    if (found == nullptr) return std::nullopt;
    const auto pause = found->pauses.find(lane.lane);
    if (pause == found->pauses.end()) return std::nullopt;
    return pause->second;
  }

  bool Ready() const override { return watch_->Current(); }

 private:
  struct Pool {
    std::shared_ptr<const PoolBrief> brief;
    PoolStatusText status;
    Waits waits;
    std::map<std::string, LanePause, std::less<>> pauses;
    bool Empty() const { return !brief && status.json.empty() && pauses.empty(); }
  };
  using Name = std::pair<std::string, std::string>;

  const Pool* FindPool(std::string_view pool_namespace, std::string_view pool) const {
    const auto found = pools_.find(Name(pool_namespace, pool));
    return found == pools_.end() ? nullptr : &found->second;
  }

  void Take(const nats::KvEntry& entry) {
    const auto key = ReadKey(entry.key);
    if (!key) return;  // Something newer, or somebody else's.
    const Name name(key->pool_namespace, key->pool);
    const std::unique_lock lock(mutex_);
    Pool& pool = pools_[name];
    if (key->what == "spec") {
      TakeSpec(name, entry, pool);
    } else if (key->what == "status") {
      pool.status = {.json = entry.value, .written_at = entry.written_at};
      pool.waits = ReadWaits(entry.value);
    } else if (key->what == "pause") {
      TakePause(key->lane, entry, pool);
    }
    if (pool.Empty()) pools_.erase(name);
  }

  static void TakeSpec(const Name& name, const nats::KvEntry& entry, Pool& pool) {
    if (entry.deleted) {
      pool.brief.reset();
      return;
    }
    auto brief = nats::ReadPoolBrief(entry.value);
    if (brief && Name(brief->pool_namespace, brief->pool) != name) {
      brief = Fail(ErrorKind::kInvalid, "it names another pool");
    }
    if (!brief) {  // What was known before is better than nothing.
      log::Error("gateway", "pool_unreadable",
                 {{"pool", name.first + "/" + name.second}, {"error", brief.error().message}});
      return;
    }
    pool.brief = std::make_shared<const PoolBrief>(*std::move(brief));
  }

  static void TakePause(const std::string& lane, const nats::KvEntry& entry, Pool& pool) {
    auto pause = nats::ReadLanePause(entry.value);
    if (entry.deleted || !pause) {
      pool.pauses.erase(lane);
    } else {
      pool.pauses[lane] = *std::move(pause);
    }
  }

  mutable std::shared_mutex mutex_;
  std::map<Name, Pool> pools_;
  std::unique_ptr<nats::KvWatch> watch_;  // Last: it calls Take.
};

}  // namespace

std::unique_ptr<PoolDirectory> StartPoolDirectory(nats::Connection& connection) {
  return std::make_unique<WatchedPools>(connection);
}

}  // namespace lanekeeper::gateway
