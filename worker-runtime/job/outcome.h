// What a handler may return: a closed set. Pure.
#pragma once

#include <string>
#include <variant>

namespace lanekeeper {

struct Done {
  bool operator==(const Done&) const = default;
};

// Worth another attempt.
struct Failed {
  std::string why;  // A clause: "fetching the image: connection refused".
  bool operator==(const Failed&) const = default;
};

// Will never work: straight to the dead letters.
struct Rejected {
  std::string why;
  bool operator==(const Rejected&) const = default;
};

// Stopped because Job::StopRequested said so. The job goes back and starts again elsewhere.
struct Interrupted {
  bool operator==(const Interrupted&) const = default;
};

using Outcome = std::variant<Done, Failed, Rejected, Interrupted>;

}  // namespace lanekeeper
