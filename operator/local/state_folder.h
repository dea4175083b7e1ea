// The folder that outlives a run of local mode: the queue's data, the status of pools, the output
// of workers. One process at a time has it.
//
//   lock           held while somebody uses the folder; says who
//   nats/          the nats-server's data, configuration and log
//   status/        <namespace>.<pool>.json
//   logs/          <worker>.log
//   gateway        the URL of the gateway, while one serves
#pragma once

#include <optional>
#include <string>

#include "worker-runtime/base/result.h"
#include "worker-runtime/handlers/process.h"

namespace lanekeeper {

class StateFolder {
 public:
  // Makes what is missing. kForbidden: another process has it, or it cannot be written; the message
  // says which one and what to do.
  static Result<StateFolder> Open(const std::string& path);

  const std::string& path() const { return path_; }
  std::string nats() const { return path_ + "/nats"; }
  std::string status() const { return path_ + "/status"; }
  std::string logs() const { return path_ + "/logs"; }
  std::string gateway() const { return path_ + "/gateway"; }

 private:
  StateFolder(std::string path, handlers::Fd lock)
      : path_(std::move(path)), lock_(std::move(lock)) {}

  std::string path_;
  handlers::Fd lock_;  // Given back with the last descriptor; children have none.
};

// The whole file, or nothing when it cannot be read.
std::optional<std::string> ReadWholeFile(const std::string& path);
// Whoever reads `path` sees the old text or the new one, never a part.
Result<void> ReplaceFile(const std::string& path, const std::string& text);

}  // namespace lanekeeper
