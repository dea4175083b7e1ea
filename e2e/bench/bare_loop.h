// The yardstick: what libnats alone can drain, with no Lanekeeper code on the way.
#pragma once

#include <string>

namespace lanekeeper::e2e {

struct BareLoop {
  int batch = 1000;
  bool send_asap = false;
  // Every acknowledgement is answered by the server, as a worker's is by default; nobody waits for
  // an answer before the next job.
  bool confirm_acks = false;
};

// Pulls and acknowledges `jobs` messages of the consumer, on this thread, over a connection of its
// own. Throws std::runtime_error when libnats refuses.
void DrainBare(const BareLoop& loop, const std::string& url, const std::string& stream,
               const std::string& consumer, const std::string& subject, int jobs);

}  // namespace lanekeeper::e2e
