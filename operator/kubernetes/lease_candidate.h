// A LeaseElection and the server it asks, on a clock that the test moves.
#pragma once

#include <chrono>
#include <string>

#include "operator/kubernetes/lease_election.h"
#include "worker-runtime/base/clock.h"

namespace lanekeeper::kubernetes {

class Candidate {
 public:
  Candidate(Api& api, FakeClock& clock, const std::string& name, LeaseTimes times = {},
            ObjectName lease = {"ns", "lanekeeper"})
      : api_(api), clock_(clock), election_(std::move(lease), name, times) {}

  // Does what there is to do now. Each answer takes `answer_takes`.
  void Step() {
    for (int n = 0; n < 20; ++n) {
      const LeaseElection::Step step = election_.Next(clock_.Now(), clock_.WallNow() + wall_ahead);
      if (!step.request) return;
      last_deadline = step.deadline;
      const MonotonicTime sent_at = clock_.Now();
      const Result<Answer> answer = api_.Exchange(*step.request, {});
      clock_.Advance(answer_takes);
      election_.OnAnswer(answer, sent_at, clock_.Now());
    }
  }
  void Run(std::chrono::milliseconds time) {
    for (std::chrono::milliseconds passed(0); passed < time; passed += kTick) {
      Step();
      clock_.Advance(kTick);
    }
    Step();
  }
  bool leads() const { return election_.lead() && clock_.Now() < election_.acts_until(); }
  std::int64_t epoch() const { return election_.lead() ? election_.lead()->epoch : 0; }
  LeaseElection& election() { return election_; }

  static constexpr std::chrono::milliseconds kTick{50};
  std::chrono::milliseconds answer_takes{0};
  std::chrono::seconds wall_ahead{0};  // Its machine's clock.
  std::chrono::milliseconds last_deadline{0};

 private:
  Api& api_;
  FakeClock& clock_;
  LeaseElection election_;
};

}  // namespace lanekeeper::kubernetes
