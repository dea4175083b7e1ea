// Everything a worker can be told, from the environment the operator sets (job/names.h).
#pragma once

#include <chrono>
#include <string>

#include "worker-runtime/base/result.h"
#include "worker-runtime/base/settings.h"
#include "worker-runtime/job/names.h"
#include "worker-runtime/job/settlement.h"
#include "worker-runtime/nats/connection.h"

namespace lanekeeper {

struct WorkerOptions {
  std::string nats_url = "nats://127.0.0.1:4222";
  std::string nats_credentials;  // A .creds file, or the seed of an nkey; empty = none.
  nats::TlsFiles nats_tls;
  LaneKey lane;
  std::string worker;                        // Its name in reports and dead letters; the pod's.
  std::string stream;                        // Empty: JobStreamName(lane).
  std::string consumer;                      // Empty: kConsumerName.
  std::string dead_subject;                  // Empty: DeadSubject(lane).
  int slots = 1;                             // Jobs at once.
  std::chrono::milliseconds timeout{30000};  // Of one job.
  std::chrono::milliseconds grace{40000};    // From SIGTERM to SIGKILL.
  SettlementPolicy policy;
  int http_port = kWorkerHttpPort;  // Metrics and health; 0 = none.
  bool confirm_acks = true;         // Wait until the queue has stored that a job is done.
  // The worker runs as a child of the process that was started, which sees how it dies.
  bool supervise = true;
  std::string log_level = "info";
};

// kInvalid, with every problem there is in one message. Names left empty are filled in.
Result<WorkerOptions> ReadWorkerOptions(Settings settings);
// From the process environment.
Result<WorkerOptions> ReadWorkerOptions();

}  // namespace lanekeeper
