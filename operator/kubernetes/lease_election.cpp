#include "operator/kubernetes/lease_election.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "operator/kubernetes/json_access.h"
#include "operator/kubernetes/object_json.h"
#include "worker-runtime/base/duration.h"

namespace lanekeeper::kubernetes {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kConflict = 409;
constexpr int kMissing = 404;
// What a lease may say of its own duration; more would let a slip hold everything up.
constexpr seconds kDurationMax = std::chrono::hours(1);

std::string Text(milliseconds duration) { return FormatDuration(duration); }

}  // namespace

Result<void> Check(const LeaseTimes& times) {
  if (times.renew_deadline >= times.duration) {
    return Fail(ErrorKind::kInvalid,
                "LANEKEEPER_LEASE_RENEW_DEADLINE is " + Text(times.renew_deadline) +
                    "; it must be shorter than LANEKEEPER_LEASE_DURATION, " + Text(times.duration));
  }
  if (times.retry >= times.renew_deadline) {
    return Fail(ErrorKind::kInvalid,
                "LANEKEEPER_LEASE_RETRY is " + Text(times.retry) +
                    "; it must be shorter than LANEKEEPER_LEASE_RENEW_DEADLINE, " +
                    Text(times.renew_deadline));
  }
  return {};
}

std::optional<Lease> ReadLease(std::string_view text) {
  const json object = ParseJson(text);
  const json* metadata = At(object, {"metadata"});
  if (metadata == nullptr || ResourceVersionOf(object).empty()) return std::nullopt;
  const seconds said(IntegerAt(object, {"spec", "leaseDurationSeconds"}));
  const bool believable = said > seconds(0) && said <= kDurationMax;
  return Lease{
      .holder = TextAt(object, {"spec", "holderIdentity"}),
      .transitions = std::max<std::int64_t>(0, IntegerAt(object, {"spec", "leaseTransitions"})),
      .duration = believable ? milliseconds(said) : milliseconds(0),
      .resource_version = ResourceVersionOf(object),
      .acquired_at = TextAt(object, {"spec", "acquireTime"}),
      .metadata = DumpJson(*metadata)};
}

LeaseElection::LeaseElection(ObjectName lease, std::string identity, LeaseTimes times)
    : name_(std::move(lease)), identity_(std::move(identity)), times_(times) {}

std::optional<Lead> LeaseElection::lead() const {
  if (!leading_) return std::nullopt;
  // A part of the time that is left to the lease stays free: requests end a little late.
  const milliseconds spare = (times_.duration - times_.renew_deadline) / 4;
  return Lead{identity_, leading_->epoch, leading_->renewed_at + times_.duration - spare};
}

MonotonicTime LeaseElection::acts_until() const {
  return leading_ ? leading_->renewed_at + times_.renew_deadline : MonotonicTime::min();
}

LeaseElection::Step LeaseElection::Ask(Asked what, Request request, MonotonicTime now) {
  asked_ = what;
  // Half of it, so that one connection that has gone silent leaves time for another.
  milliseconds deadline = times_.renew_deadline / 2;
  if (leading_) {
    const auto left = std::chrono::ceil<milliseconds>(acts_until() - now);
    deadline = std::min(deadline, left);
  }
  return {.request = std::move(request), .due = now, .deadline = deadline};
}

LeaseElection::Step LeaseElection::Next(MonotonicTime now, WallTime wall_now) {
  if (leading_ && now >= acts_until()) {
    Lose("it was not renewed for " + Text(times_.renew_deadline));
    due_ = now;
  }
  return leading_ ? NextOfLeader(now, wall_now) : NextOfStandby(now, wall_now);
}

LeaseElection::Step LeaseElection::NextOfLeader(MonotonicTime now, WallTime wall_now) {
  if (now < due_) return Wait(std::min(due_, acts_until()));
  if (must_look_) return Ask(Asked::kRead, GetRequest(kLeases, name_), now);
  epoch_asked_ = leading_->epoch;
  return Ask(Asked::kRenew, Write(identity_, epoch_asked_, wall_now), now);
}

LeaseElection::Step LeaseElection::NextOfStandby(MonotonicTime now, WallTime wall_now) {
  // As soon as it runs out, without another look: what has changed since makes it a conflict.
  if (!must_look_ && now >= free_at_) {
    epoch_asked_ = std::min<std::int64_t>(epoch_seen_ + 1, std::numeric_limits<int>::max());
    return Ask(Asked::kTake, Write(identity_, epoch_asked_, wall_now), now);
  }
  if (now < due_) return Wait(must_look_ ? due_ : std::min(due_, free_at_));
  return Ask(Asked::kRead, GetRequest(kLeases, name_), now);
}

Request LeaseElection::Write(std::string_view holder, std::int64_t transitions,
                             WallTime wall_now) const {
  const std::string time = FormatRfc3339Micros(wall_now);
  const bool goes_on = leading_ && seen_ && !seen_->acquired_at.empty();
  // The server knows whole seconds. Rounded up, it is never shorter than what we count with.
  json object = {{"apiVersion", kLeases.api_version},
                 {"kind", kLeases.kind},
                 {"metadata", {{"name", name_.name}, {"namespace", name_.object_namespace}}},
                 {"spec",
                  {{"holderIdentity", holder},
                   {"leaseDurationSeconds", std::chrono::ceil<seconds>(times_.duration).count()},
                   {"acquireTime", goes_on ? seen_->acquired_at : time},
                   {"renewTime", time},
                   {"leaseTransitions", transitions}}}};
  if (!seen_) return CreateRequest(kLeases, name_.object_namespace, DumpJson(object));
  object["metadata"] = ParseJson(seen_->metadata);  // With the resourceVersion it is bound to.
  return UpdateRequest(kLeases, name_, DumpJson(object));
}

std::optional<Request> LeaseElection::Release(WallTime wall_now) {
  if (!leading_ || !seen_) return std::nullopt;
  Request request = Write("", leading_->epoch, wall_now);
  Lose("it was released");
  return request;
}

void LeaseElection::OnAnswer(const Result<Answer>& answer, MonotonicTime sent_at,
                             MonotonicTime now) {
  const Asked asked = std::exchange(asked_, Asked::kNothing);
  if (asked == Asked::kRead) return OnRead(answer, now);
  OnWritten(answer, sent_at, now);
}

void LeaseElection::OnRead(const Result<Answer>& answer, MonotonicTime now) {
  if (answer && answer->status == kMissing) return SeeNone(now);
  const Result<Answer> accepted = answer ? Accepted(*answer) : answer;
  if (!accepted) return Failed(accepted.error(), now);
  std::optional<Lease> lease = ReadLease(accepted->body);
  if (!lease) return Failed({ErrorKind::kRetryable, "the answer is no Lease"}, now);
  See(*std::move(lease), now);
}

void LeaseElection::See(Lease lease, MonotonicTime now) {
  const bool is_ours = lease.holder == identity_;
  const bool is_others = !is_ours && !lease.holder.empty();
  // A write that was refused is still refused, unless there is no need to write any more.
  if (!write_failed_ || is_others) trouble_.reset();
  must_look_ = false;
  missing_since_.reset();
  holder_ = lease.holder;
  epoch_seen_ = std::max(epoch_seen_, lease.transitions);
  if (leading_ && is_ours) {
    seen_ = std::move(lease);
    due_ = now;  // A renewal was not confirmed; it is tried again.
    return;
  }
  if (leading_)
    Lose(lease.holder.empty() ? "somebody released it" : lease.holder + " has taken it");
  const bool changed = !seen_ || seen_->resource_version != lease.resource_version;
  const milliseconds runs = lease.duration.count() > 0 ? lease.duration : times_.duration;
  if (!is_others) {
    free_at_ = now;
  } else if (changed || free_at_ == MonotonicTime::max()) {
    free_at_ = now + runs;
  }
  seen_ = std::move(lease);
  must_look_ = false;
  due_ = now + LookInterval();
}

void LeaseElection::SeeNone(MonotonicTime now) {
  if (!write_failed_) trouble_.reset();
  must_look_ = false;
  seen_.reset();
  holder_.clear();
  if (leading_) {
    due_ = now;  // Nobody else could have taken it: it is made again, and the lead goes on.
    return;
  }
  if (!missing_since_) missing_since_ = now;
  free_at_ = *missing_since_ + times_.duration;
  due_ = now + LookInterval();
}

void LeaseElection::OnWritten(const Result<Answer>& answer, MonotonicTime sent_at,
                              MonotonicTime now) {
  must_look_ = true;
  if (answer && (answer->status == kConflict || answer->status == kMissing)) {
    free_at_ = MonotonicTime::max();
    due_ = now + LookInterval() / 5;
    return;
  }
  const Result<Answer> accepted = answer ? Accepted(*answer) : answer;
  // Without an answer it may have been written or not: the lease is looked at.
  write_failed_ = true;
  if (!accepted) return Failed(accepted.error(), now);
  std::optional<Lease> lease = ReadLease(accepted->body);
  if (!lease) return Failed({ErrorKind::kRetryable, "the answer is no Lease"}, now);
  trouble_.reset();
  write_failed_ = false;
  must_look_ = false;
  missing_since_.reset();
  holder_ = identity_;
  epoch_seen_ = std::max(epoch_seen_, epoch_asked_);
  seen_ = std::move(lease);
  free_at_ = MonotonicTime::max();
  leading_ = Leading{epoch_asked_, sent_at};
  due_ = now + times_.retry;
}

void LeaseElection::Failed(Error error, MonotonicTime now) {
  trouble_ = std::move(error);
  due_ = now + (leading_ ? LookInterval() : times_.retry);
}

void LeaseElection::Lose(std::string why) {
  leading_.reset();
  lost_because_ = std::move(why);
  must_look_ = true;
  free_at_ = MonotonicTime::max();
}

}  // namespace lanekeeper::kubernetes
