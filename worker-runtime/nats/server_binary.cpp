#include "worker-runtime/nats/server_binary.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <sstream>
#include <vector>

namespace lanekeeper::nats {
namespace {

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

std::string FirstExecutable(const std::vector<std::string>& candidates) {
  for (const std::string& candidate : candidates) {
    if (!candidate.empty() && access(candidate.c_str(), X_OK) == 0) return candidate;
  }
  return {};
}

// "nats-server: v2.15.2" is at least 2.12.
bool NewEnough(const std::string& binary) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(
      popen(("'" + binary + "' --version 2>/dev/null").c_str(), "r"), &pclose);
  if (!pipe) return false;
  int major = 0;
  int minor = 0;
  return std::fscanf(pipe.get(), "nats-server: v%d.%d", &major, &minor) == 2 &&
         (major > 2 || (major == 2 && minor >= 12));
}

}  // namespace

Result<std::string> FindServerBinary(const std::string& beside) {
  std::vector<std::string> candidates{Environment("LANEKEEPER_NATS_SERVER")};
  if (!beside.empty()) candidates.push_back(beside + "/nats-server");
  std::string cache = Environment("LANEKEEPER_CACHE");
  if (cache.empty()) {
    std::string base = Environment("XDG_CACHE_HOME");
    if (base.empty()) base = Environment("HOME") + "/.cache";
    cache = base + "/lanekeeper";
  }
  candidates.push_back(cache + "/bin/nats-server");
  std::stringstream path(Environment("PATH"));
  for (std::string part; std::getline(path, part, ':');) {
    candidates.push_back(part + "/nats-server");
  }
  const std::string found = FirstExecutable(candidates);
  if (found.empty()) {
    return Fail(ErrorKind::kNotFound, "no nats-server: set LANEKEEPER_NATS_SERVER");
  }
  if (!NewEnough(found)) {
    return Fail(ErrorKind::kNotFound, found + ": not a nats-server of at least 2.12");
  }
  return found;
}

}  // namespace lanekeeper::nats
