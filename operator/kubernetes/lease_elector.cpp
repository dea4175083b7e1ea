#include "operator/kubernetes/lease_elector.h"

#include <algorithm>
#include <random>
#include <utility>

#include "operator/kubernetes/log_pace.h"
#include "worker-runtime/base/backoff.h"
#include "worker-runtime/base/log.h"
#include "worker-runtime/base/stoppable_sleep.h"

namespace lanekeeper::kubernetes {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kHandBackDeadline{2000};
constexpr milliseconds kWorthJitter{50};

}  // namespace

LeaseElector::LeaseElector(Api& api, const Clock& clock, Options options)
    : api_(api),
      clock_(clock),
      options_(std::move(options)),
      election_(options_.lease, options_.identity, options_.times) {}

void LeaseElector::Start(std::function<void()> on_change) {
  if (thread_.joinable()) return;
  on_change_ = std::move(on_change);
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

void LeaseElector::Stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  {
    const std::lock_guard lock(mutex_);
    known_.lead.reset();
  }
  thread_.join();
  HandBack();
}

std::optional<Lead> LeaseElector::Current() const {
  const std::lock_guard lock(mutex_);
  if (!known_.lead || clock_.Now() >= known_.acts_until) return std::nullopt;
  return known_.lead;
}

std::string LeaseElector::holder() const {
  const std::lock_guard lock(mutex_);
  return known_.holder;
}

std::optional<std::string> LeaseElector::refused() const {
  const std::lock_guard lock(mutex_);
  return known_.refused;
}

void LeaseElector::Run(const std::stop_token& stop) {
  std::minstd_rand random(std::random_device{}());
  while (!stop.stop_requested()) {
    const std::optional<Lead> before = election_.lead();
    const LeaseElection::Step step = election_.Next(clock_.Now(), clock_.WallNow());
    if (step.request) Ask(step, stop);
    if (stop.stop_requested()) return;
    Publish(stop);
    LogLead(before);
    const std::optional<Lead> after = election_.lead();
    const bool changed = (before ? before->epoch : 0) != (after ? after->epoch : 0);
    if (changed && on_change_) on_change_();
    if (step.request) continue;
    // Standbys that saw the same change do not all ask at one moment.
    const auto wait = std::chrono::ceil<milliseconds>(step.due - clock_.Now());
    SleepUnlessStopped(
        wait > kWorthJitter ? Jittered(wait, (std::uint64_t{random()} << 31) ^ random()) : wait,
        stop);
  }
}

void LeaseElector::Ask(const LeaseElection::Step& step, const std::stop_token& stop) {
  const MonotonicTime sent_at = clock_.Now();
  // A write is not given up halfway: what is handed back at the end must be known.
  CallOptions call{.deadline = step.deadline};
  if (!IsWrite(*step.request)) call.stop = stop;
  election_.OnAnswer(api_.Exchange(*step.request, call), sent_at, clock_.Now());
  if (!stop.stop_requested()) LogTrouble();
}

void LeaseElector::Publish(const std::stop_token& stop) {
  const std::optional<Error>& trouble = election_.trouble();
  const bool refused = trouble && trouble->kind == ErrorKind::kForbidden;
  const std::lock_guard lock(mutex_);
  known_.lead = stop.stop_requested() ? std::nullopt : election_.lead();
  known_.acts_until = election_.acts_until();
  known_.holder = election_.holder();
  known_.refused = refused ? std::optional(trouble->message) : std::nullopt;
}

void LeaseElector::LogLead(const std::optional<Lead>& before) {
  const std::optional<Lead> lead = election_.lead();
  const std::string lease = ToString(options_.lease);
  if (lead && (!before || before->epoch != lead->epoch)) {
    log::Info("leader", "lease taken",
              {{"lease", lease}, {"epoch", lead->epoch}, {"as", options_.identity}});
  } else if (before && !lead) {
    log::Warning("leader", "lease lost",
                 {{"lease", lease}, {"epoch", before->epoch}, {"why", election_.lost_because()}});
  }
  if (!lead && election_.holder() != holder_logged_ && !election_.holder().empty() &&
      election_.holder() != options_.identity) {
    log::Info("leader", "stands by", {{"lease", lease}, {"leader", election_.holder()}});
  }
  holder_logged_ = election_.holder();
}

void LeaseElector::LogTrouble() {
  const std::optional<Error>& trouble = election_.trouble();
  failures_ = trouble ? failures_ + 1 : 0;
  if (!IsWorthALine(failures_)) return;
  log::Warning("leader", "lease not reached",
               {{"lease", ToString(options_.lease)},
                {"error", trouble->message},
                {"kind", ToString(trouble->kind)},
                {"failures", failures_}});
}

void LeaseElector::HandBack() {
  const std::optional<Request> release = election_.Release(clock_.WallNow());
  if (!release) return;
  const Result<Answer> answer = api_.Call(*release, {.deadline = kHandBackDeadline});
  if (answer) {
    log::Info("leader", "lease handed back", {{"lease", ToString(options_.lease)}});
  } else {
    log::Warning("leader", "lease not handed back",
                 {{"lease", ToString(options_.lease)}, {"error", answer.error().message}});
  }
}

}  // namespace lanekeeper::kubernetes
