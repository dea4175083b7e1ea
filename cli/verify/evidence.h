// Reads from NATS what verify.h decides about. Changes nothing there.
#pragma once

#include <istream>
#include <string>
#include <vector>

#include "cli/verify/verify.h"
#include "worker-runtime/base/result.h"
#include "worker-runtime/job/names.h"
#include "worker-runtime/nats/jetstream.h"

namespace lanekeeper::verify {

struct Sources {
  LaneKey lane;
  std::string stream;           // Of the lane; empty: JobStreamName(lane).
  std::string dead_stream;      // Empty: DeadStreamName of the pool.
  std::string results_stream;   // Records of ended runs as JSON; empty: there are none.
  std::string accepted_stream;  // Ids in payloads, one a line; empty: there is none.
};

// One id a line; empty lines are skipped, spaces around an id are cut.
std::vector<std::string> ReadIds(std::istream& lines);

// `accepted` comes on top of what accepted_stream has. Answers come from the leaders of the
// streams. No dead-letter stream or record bucket: no dead letters, no records. kNotFound: another
// stream does not exist. kInvalid: a record or result that cannot be read, by its sequence.
Result<Evidence> ReadEvidence(const nats::JetStream& jetstream, const Sources& sources,
                              std::vector<std::string> accepted);

}  // namespace lanekeeper::verify
