#include "e2e/chaos/verify_lane.h"

#include <chrono>
#include <fstream>
#include <stdexcept>

#include "e2e/bench/child.h"

namespace lanekeeper::e2e {
namespace {

using nlohmann::ordered_json;

std::string LastLine(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string last;
  for (std::string line; std::getline(file, line);) {
    if (!line.empty()) last = line;
  }
  return last;
}

}  // namespace

ordered_json VerifyLane(const std::string& nats_url, const LaneKey& key,
                        const std::string& results_stream, const std::vector<std::string>& accepted,
                        const std::filesystem::path& folder) {
  const std::filesystem::path ids = folder / "accepted";
  const std::filesystem::path log = folder / "verify.log";
  {
    std::ofstream file(ids);
    for (const std::string& id : accepted) file << id << "\n";
  }
  Child checker({ProgramBesideThis("lanekeeper-verify"), "--url", nats_url, "--namespace",
                 key.pool_namespace, "--pool", key.pool, "--lane", key.lane, "--accepted", ids,
                 "--results", results_stream, "--all"},
                {}, log);
  const int status = checker.Wait(std::chrono::minutes(5));
  ordered_json verdict = ordered_json::parse(LastLine(log), nullptr, /*allow_exceptions=*/false);
  if (status > 1 || !verdict.is_object()) {
    throw std::runtime_error("lanekeeper-verify ended with " + std::to_string(status) + ": " +
                             LastLine(log));
  }
  return verdict;
}

}  // namespace lanekeeper::e2e
