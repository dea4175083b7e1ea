// Which operator leads: the rule, on one coordination.k8s.io Lease. No I/O, clock or thread:
// LeaseElector asks Next what to do, does it and says how it went; lease_election_test.cpp does the
// same with answers of its own.
//
//   stands by ──── the lease has no holder, or was not renewed for its duration ────▶ leads
//       ▲                                                                               │
//       └── not renewed for the renew deadline, or the lease says somebody else leads ──┘
//
// Clocks of different machines are never compared. A standby counts from the moment at which it saw
// the last change of the lease; the leader counts from the moment at which it sent the last renewal
// that was confirmed, which is earlier, and stops at the renew deadline, which is shorter. A lease
// that is missing may have been deleted under a leader: it is made anew only after a whole
// duration.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "operator/control/leadership.h"
#include "operator/kubernetes/api.h"
#include "operator/kubernetes/object_names.h"
#include "operator/kubernetes/requests.h"

namespace lanekeeper::kubernetes {

struct LeaseTimes {
  std::chrono::milliseconds duration{6000};  // Without a renewal, others take it after this.
  std::chrono::milliseconds renew_deadline{
      4000};                              // Without a renewal, its holder stops after this.
  std::chrono::milliseconds retry{1000};  // Between renewals.
};
// kInvalid, naming the settings, unless duration > renew_deadline > retry.
Result<void> Check(const LeaseTimes& times);

// What counts of a Lease object.
struct Lease {
  std::string holder;  // Empty: released.
  std::int64_t transitions = 0;
  std::chrono::milliseconds duration{0};  // What its holder said; 0: nothing that can be believed.
  std::string resource_version;
  std::string acquired_at;  // As the server has it.
  std::string metadata;     // JSON, to be written back as it was: labels are others'.
  bool operator==(const Lease&) const = default;
};
// Nothing: this is no Lease.
std::optional<Lease> ReadLease(std::string_view text);

class LeaseElection {
 public:
  struct Step {
    std::optional<Request> request;  // Nothing: there is nothing to do before `due`.
    MonotonicTime due{};
    std::chrono::milliseconds deadline{0};  // Of the request.
  };

  // `identity` is of this process alone: one that starts again is another.
  LeaseElection(ObjectName lease, std::string identity, LeaseTimes times);

  // The request that Next returned is answered by OnAnswer before Next is called again. `now` never
  // goes back.
  Step Next(MonotonicTime now, WallTime wall_now);
  void OnAnswer(const Result<Answer>& answer, MonotonicTime sent_at, MonotonicTime now);

  // The one that hands the lease back, so that nobody waits for it to run out; nothing when it is
  // not held. To be called when nothing is done any more in the name of the lead, and last.
  std::optional<Request> Release(WallTime wall_now);

  // Nothing: stands by.
  std::optional<Lead> lead() const;
  // While it leads: until when, if no renewal is confirmed.
  MonotonicTime acts_until() const;
  // Whom the lease names; empty when nobody, or not known.
  const std::string& holder() const { return holder_; }
  // Why this operator leads no more; stays until the next time.
  const std::string& lost_because() const { return lost_because_; }
  // What is wrong with the lease or its server; nothing: the last answer was a good one.
  const std::optional<Error>& trouble() const { return trouble_; }

 private:
  enum class Asked { kNothing, kRead, kTake, kRenew };
  struct Leading {
    std::int64_t epoch = 0;
    MonotonicTime renewed_at{};  // When the last renewal that was confirmed had been sent.
  };

  Step Wait(MonotonicTime until) const { return {.due = until}; }
  Step Ask(Asked what, Request request, MonotonicTime now);
  Step NextOfLeader(MonotonicTime now, WallTime wall_now);
  Step NextOfStandby(MonotonicTime now, WallTime wall_now);
  // Creates the lease, or changes the one that was seen last.
  Request Write(std::string_view holder, std::int64_t transitions, WallTime wall_now) const;
  void OnRead(const Result<Answer>& answer, MonotonicTime now);
  void OnWritten(const Result<Answer>& answer, MonotonicTime sent_at, MonotonicTime now);
  void See(Lease lease, MonotonicTime now);
  void SeeNone(MonotonicTime now);
  void Failed(Error error, MonotonicTime now);
  void Lose(std::string why);
  std::chrono::milliseconds LookInterval() const { return times_.retry / 4; }

  const ObjectName name_;
  const std::string identity_;
  const LeaseTimes times_;

  Asked asked_ = Asked::kNothing;
  std::int64_t epoch_asked_ = 0;  // With kTake and kRenew.
  std::optional<Lease> seen_;     // As it was seen last; nothing: there is none, or not known.
  std::optional<MonotonicTime> missing_since_;
  std::int64_t epoch_seen_ = 0;  // The highest there has been.
  std::string holder_;
  std::optional<Leading> leading_;
  bool must_look_ = true;                         // What was seen last may not be what is there.
  MonotonicTime due_{};                           // Of the next request.
  MonotonicTime free_at_ = MonotonicTime::max();  // Standby: when nobody can lead any more.
  std::string lost_because_;
  std::optional<Error> trouble_;
  bool write_failed_ = false;  // That was the trouble.
};

}  // namespace lanekeeper::kubernetes
