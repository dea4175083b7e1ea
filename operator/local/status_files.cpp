#include "operator/local/status_files.h"

#include <cstdio>
#include <optional>

#include "operator/kubernetes/worker_pool_json.h"
#include "operator/local/state_folder.h"

namespace lanekeeper {

// Neither part has a '.' in it (CheckLaneKey).
std::string StatusFiles::PathOf(const PoolKey& key) const {
  return folder_ + "/" + key.pool_namespace + "." + key.name + ".json";
}

Result<void> StatusFiles::Write(const PoolKey& key, const PoolStatus& status) {
  written_[key] = status;
  return ReplaceFile(PathOf(key), kubernetes::StatusToJson(status) + "\n");
}

PoolStatus StatusFiles::Read(const PoolKey& key) {
  if (const auto found = written_.find(key); found != written_.end()) return found->second;
  const std::optional<std::string> text = ReadWholeFile(PathOf(key));
  return text ? kubernetes::StatusFromJson(*text) : PoolStatus{};
}

void StatusFiles::Remove(const PoolKey& key) {
  written_.erase(key);
  std::remove(PathOf(key).c_str());
}

}  // namespace lanekeeper
