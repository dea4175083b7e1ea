// The command `up`: a whole Lanekeeper on this machine, until Ctrl-C.
#pragma once

#include <CLI/CLI.hpp>
#include <optional>
#include <string>

#include "worker-runtime/base/result.h"
#include "worker-runtime/base/stop_signal.h"

namespace lanekeeper::up {

struct UpOptions {
  std::string manifest;               // A YAML file with WorkerPools.
  std::string nats_url;               // Empty: a nats-server of its own.
  std::string state = ".lanekeeper";  // A folder.
  int port = 0;                       // Of the own nats-server; 0: a free one.
  std::optional<int> gateway_port;    // 0: a free one; nothing: kGatewayPort or a free one.
};

extern const char* const kUpDescription;
extern const char* const kUpExamples;

// `options` gets what is parsed and must outlive the parsing.
void AddUpFlags(CLI::App& app, UpOptions& options);

// Until `stop`: the first signal lets the workers finish their jobs, the second ends them at once.
// Jobs that are not done stay in the queue. An error is one of the start.
Result<void> RunUp(const UpOptions& options, StopSignal& stop);

}  // namespace lanekeeper::up
