#include "operator/jetstream/probe_loop.h"

#include <algorithm>
#include <charconv>
#include <type_traits>

#include "operator/jetstream/lane_facts.h"
#include "operator/jetstream/pool_facts.h"
#include "worker-runtime/base/log.h"
#include "worker-runtime/nats/worker_report_json.h"

namespace lanekeeper {
namespace {

using scaling::Doubt;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr milliseconds kPauseMax{100};
constexpr milliseconds kSlice{10};  // Of requests that have to be spread.
// Shorter gaps are a reconnect, not an outage.
constexpr milliseconds kDisconnectGrace{250};
constexpr std::chrono::seconds kExpireEvery{1};
// The server queues 10,000 API requests and drops what is beyond; others need it too.
constexpr std::size_t kOpenRequestsMax = 2000;
constexpr int kBurst = 64;  // Regular requests that may always go out together.
constexpr int kWakeQueue = 50'000;
constexpr milliseconds kTapSettle{15};

constexpr int kWakePrefixTokens = 3;    // lk.v1.wake.
constexpr int kReportPrefixTokens = 3;  // lk.v1.worker.

std::optional<std::uint64_t> TokenOf(std::string_view subject) {
  const std::string_view text = subject.substr(subject.rfind('.') + 1);
  std::uint64_t token = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), token);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return token;
}

std::string ConsumerInfoApi(const ProbedLane& lane) {
  return "CONSUMER.INFO." + lane.stream + "." + lane.consumer;
}

}  // namespace

void JetStreamLaneProbe::Loop::Start(std::function<void(const LaneKey&)> on_change) {
  if (thread_.joinable()) return;
  on_change_ = std::move(on_change);
  inbox_ = connection_.NewInbox();
  Subscribe();
  thread_ = std::jthread([this](std::stop_token stop) { Run(std::move(stop)); });
}

void JetStreamLaneProbe::Loop::Stop() {
  thread_ = {};  // Stops and joins.
  subscriptions_.clear();
  for (auto& [key, lane] : lanes_) Untap(lane);
}

LaneSample JetStreamLaneProbe::Loop::Latest(const LaneKey& key) const {
  const std::lock_guard lock(latest_mutex_);
  const auto found = latest_.find(key);
  return found == latest_.end() ? LaneSample{} : found->second.sample;
}

std::vector<ReportedWorker> JetStreamLaneProbe::Loop::Workers(const LaneKey& key) const {
  const std::lock_guard lock(latest_mutex_);
  const auto found = latest_.find(key);
  if (found == latest_.end() || !found->second.roster) return {};
  return found->second.roster->Workers();
}

ServiceCounts JetStreamLaneProbe::Loop::Served(const LaneKey& key) const {
  const std::lock_guard lock(latest_mutex_);
  const auto found = latest_.find(key);
  if (found == latest_.end() || !found->second.roster) return {};
  return found->second.roster->served();
}

// The answer goes where all reports of the worker go. Over an inbox it could overtake, or be
// overtaken by, the report that follows it.
void JetStreamLaneProbe::Loop::Tell(const LaneKey& key, const std::string& worker,
                                    std::string_view request) {
  // libnats would keep it and send it after the reconnect, whatever is wanted by then.
  if (!connection_.Connected()) return;
  static_cast<void>(connection_.PublishRequest(WorkerControlSubject(key, worker),
                                               WorkerReportSubject(key, worker), request));
}

LaneProbeStats JetStreamLaneProbe::Loop::stats() const {
  const MonotonicTime now = clock_.Now();
  const std::lock_guard lock(latest_mutex_);
  LaneProbeStats stats = stats_;
  for (const auto& [key, lane] : latest_) {
    stats.lanes_answered += lane.sample.doubt == Doubt::kNone ? 1 : 0;
    stats.sample_age_max = std::max<std::chrono::nanoseconds>(
        stats.sample_age_max, now - std::max(lane.sample.taken_at, lane.added_at));
  }
  return stats;
}

// Handlers run on libnats' threads: they only read the subject and post.
void JetStreamLaneProbe::Loop::Subscribe() {
  const auto keep = [this](Result<std::unique_ptr<nats::Registration>> made) {
    if (made) {
      subscriptions_.push_back(*std::move(made));
    } else {
      log::Error("probe", "subscribing_failed", {{"error", made.error().message}});
    }
  };
  keep(connection_.SubscribeCallback(inbox_ + ".*", [this](nats::Message message) {
    if (const auto token = TokenOf(message.subject)) {
      Post(ProbeAnswer{*token, std::move(message)});
    }
  }));
  keep(connection_.SubscribeCallback(
      kWakeFilter,
      [this](const nats::Message& message) {
        if (auto key = LaneKeyFromSubject(message.subject, kWakePrefixTokens)) {
          Post(LaneHint{*std::move(key)});
        }
      },
      kWakeQueue));
  keep(connection_.SubscribeCallback(
      kWorkerReportFilter,
      [this](const nats::Message& message) {
        if (message.NoResponders()) return;  // Tell: that worker is not there.
        auto key = LaneKeyFromSubject(message.subject, kReportPrefixTokens);
        auto report = nats::ReadWorkerReport(message.payload);
        if (key && report) {
          Post(HeardReport{*std::move(key),
                           std::make_unique<const WorkerReport>(*std::move(report))});
        } else {
          const std::lock_guard lock(latest_mutex_);
          ++stats_.reports_unreadable;
        }
      },
      kWakeQueue));
  subscriptions_.push_back(
      connection_.OnChange([this](const nats::ConnectionChange& change) { Post(change); }));
}

void JetStreamLaneProbe::Loop::Run(std::stop_token stop) {
  disconnected_at_ = credit_at_ = expired_at_ = clock_.Now();
  while (!stop.stop_requested()) {
    std::vector<ProbeMail> mail = mailbox_.Take(stop, Pause());
    WatchConnection();
    for (ProbeMail& letter : mail) {
      std::visit([this](auto& content) { Handle(std::move(content)); }, letter);
    }
    GiveUpOnAnswers();
    AskDueLanes();
    AskDuePools();
    ExpireWorkers();
  }
}

// Until something is due. What is overdue waits for credit or for answers.
nanoseconds JetStreamLaneProbe::Loop::Pause() const {
  if (due_.empty()) return kPauseMax;
  const nanoseconds until = due_.begin()->first - clock_.Now();
  return std::clamp<nanoseconds>(until, kSlice, kPauseMax);
}

JetStreamLaneProbe::Loop::LaneState* JetStreamLaneProbe::Loop::Find(const LaneKey& key) {
  const auto found = lanes_.find(key);
  return found == lanes_.end() ? nullptr : &found->second;
}

void JetStreamLaneProbe::Loop::Handle(AddLane&& mail) {
  const MonotonicTime now = clock_.Now();
  const auto [found, added] = lanes_.try_emplace(mail.lane.key);
  LaneState& lane = found->second;
  if (!added && lane.lane == mail.lane) return;
  if (!added) {
    // Another queue: what the old one said no longer counts. The workers are the same.
    Untap(lane);
    asked_.erase(lane.asked);
    lane.asked = 0;
    lane.oldest_stored_at.reset();
    lane.counted.reset();
    lane.passing = {};
    LaneSample fresh{.dead_letters = lane.sample.dead_letters,
                     .arrivals_total = lane.sample.arrivals_total};
    if (lane.view->roster) ApplyRoster(lane.view->roster->totals(), &fresh);
    lane.sample = std::move(fresh);
  } else {
    const std::lock_guard lock(latest_mutex_);
    lane.view = &latest_[mail.lane.key];
    lane.view->added_at = now;
    stats_.lanes = static_cast<int>(lanes_.size());
    PoolState& pool = pools_[PoolOf(mail.lane.key)];
    if (++pool.lanes == 1) pool.due = now;
  }
  lane.lane = std::move(mail.lane);
  lane.own_subject = lane.lane.stream == JobStreamName(lane.lane.key);
  lane.answered_at = now;
  if (!connected_ && disconnect_told_) {
    lane.sample.doubt = Doubt::kDisconnected;
    lane.sample.doubt_detail = connection_.LastError();
  }
  SetDue(lane, now);
  Publish(lane);
}

void JetStreamLaneProbe::Loop::Handle(RemoveLane&& mail) {
  const auto found = lanes_.find(mail.key);
  if (found == lanes_.end()) return;
  due_.erase({found->second.due, &found->second});
  asked_.erase(found->second.asked);
  Untap(found->second);
  lanes_.erase(found);
  const auto pool = pools_.find(PoolOf(mail.key));
  if (pool != pools_.end() && --pool->second.lanes == 0) pools_.erase(pool);
  const std::lock_guard lock(latest_mutex_);
  latest_.erase(mail.key);
  stats_.lanes = static_cast<int>(lanes_.size());
}

void JetStreamLaneProbe::Loop::Handle(LaneHint&& mail) {
  LaneState* lane = Find(mail.key);
  if (lane == nullptr) return;
  const MonotonicTime now = clock_.Now();
  if (mail.from_tap) {
    Untap(*lane);
    // A lane of many short jobs is at rest between any two of them: not more than one tap a sample.
    lane->tap_after = now + options_.sample_interval;
  }
  {
    const std::lock_guard lock(latest_mutex_);
    ++(mail.from_tap ? stats_.taps_fired : stats_.wakeups);
  }
  lane->look_again = true;
  if (lane->asked != 0) {
    lane->ask_again = true;  // That answer may be older than the job.
  } else if (mail.from_tap) {
    // The first job of a burst is not the burst: with the rest of it, one step is enough.
    SetDue(*lane, now + kTapSettle);
  } else {
    AskLane(*lane);
  }
}

void JetStreamLaneProbe::Loop::Handle(HeardReport&& mail) {
  LaneState* lane = Find(mail.key);
  if (lane == nullptr) return;
  {
    const std::lock_guard lock(latest_mutex_);
    ++stats_.reports;
    std::unique_ptr<WorkerRoster>& roster = lane->view->roster;
    if (!roster) roster = std::make_unique<WorkerRoster>();
    roster->Record(*mail.report, clock_.Now());
    const std::int64_t running_before = lane->sample.jobs_running;
    ApplyRoster(roster->totals(), &lane->sample);
    lane->passing.OnReport(running_before, lane->sample.jobs_running);
    lane->sample.jobs_passing = lane->passing.count();
  }
  Publish(*lane);
}

void JetStreamLaneProbe::Loop::ExpireWorkers() {
  const MonotonicTime now = clock_.Now();
  if (now - expired_at_ < kExpireEvery) return;
  expired_at_ = now;
  for (auto& [key, lane] : lanes_) ExpireWorkers(lane, now);
}

void JetStreamLaneProbe::Loop::ExpireWorkers(LaneState& lane, MonotonicTime now) {
  WorkerRoster* const roster = lane.view->roster.get();  // Only this thread changes it.
  if (roster == nullptr) return;
  const RosterTotals before = roster->totals();
  {
    const std::lock_guard lock(latest_mutex_);
    roster->Expire(now);
    ApplyRoster(roster->totals(), &lane.sample);
  }
  if (roster->totals() != before) Publish(lane);
}

void JetStreamLaneProbe::Loop::Handle(nats::ConnectionChange&& mail) {
  if (mail.kind != nats::ConnectionChange::Kind::kDenied) return;  // WatchConnection looks itself.
  if (mail.text.find("Subscription") != std::string::npos) {
    if (mail.subject.starts_with("lk.jobs.") && !taps_denied_) {
      taps_denied_ = true;
      log::Warning("probe", "taps_off", {{"reason", mail.text}});
    }
    if (mail.subject.starts_with(inbox_)) {
      for (auto& [key, lane] : lanes_) lane.denied = mail.text;
    }
    return;
  }
  constexpr std::string_view kPrefix = "$JS.API.CONSUMER.INFO.";
  if (!mail.subject.starts_with(kPrefix)) return;
  // The subject may belong to a later refusal than this one (a burst of them), hence all open ones.
  for (const auto& [token, asked] : asked_) {
    LaneState* lane = asked.question == Question::kConsumer ? Find(asked.key) : nullptr;
    if (lane == nullptr) continue;
    lane->denied = mail.text;
    if ("$JS.API." + ConsumerInfoApi(lane->lane) == mail.subject) {
      SetDoubt(*lane, Doubt::kRefused, mail.text);
    }
  }
}

void JetStreamLaneProbe::Loop::WatchConnection() {
  const MonotonicTime now = clock_.Now();
  const bool connected = connection_.Connected();
  const std::uint64_t epoch = connected ? connection_.Epoch() : epoch_;
  if (connected && (!connected_ || epoch != epoch_)) {
    // Questions of before are lost: ask all of them anew, spread like any other samples.
    asked_.clear();
    for (auto& [key, lane] : lanes_) {
      lane.asked = 0;
      lane.ask_again = lane.oldest_asked = false;
      lane.answered_at = now;
      lane.denied.clear();
      SetDue(lane, now);
    }
    for (auto& [key, pool] : pools_) pool.asked = 0;
    disconnect_told_ = false;
  } else if (!connected && connected_) {
    disconnected_at_ = now;
  }
  connected_ = connected;
  epoch_ = epoch;
  if (connected || disconnect_told_ || now - disconnected_at_ < kDisconnectGrace) return;
  disconnect_told_ = true;
  const std::string detail = connection_.LastError();
  for (auto& [key, lane] : lanes_) SetDoubt(lane, Doubt::kDisconnected, detail);
}

void JetStreamLaneProbe::Loop::AskDueLanes() {
  const MonotonicTime now = clock_.Now();
  // Twice the steady rate, so that lanes that came at once are spread within an interval.
  const double per_second = 2.0 * static_cast<double>(lanes_.size()) /
                            std::chrono::duration<double>(options_.sample_interval).count();
  credit_ += per_second * std::chrono::duration<double>(now - credit_at_).count();
  credit_ = std::min(credit_, std::max<double>(kBurst, per_second * 0.05));
  credit_at_ = now;
  while (connected_ && !due_.empty() && due_.begin()->first <= now && credit_ >= 1 &&
         asked_.size() < kOpenRequestsMax) {
    LaneState& lane = *due_.begin()->second;
    // In step with its own rhythm, unless it was far behind.
    SetDue(lane,
           std::max(lane.due + options_.sample_interval, now + options_.sample_interval * 9 / 10));
    credit_ -= 1;
    if (lane.asked != 0) {
      DoubtSilence(lane);
    } else {
      AskLane(lane);
    }
  }
}

void JetStreamLaneProbe::Loop::AskDuePools() {
  const MonotonicTime now = clock_.Now();
  int burst = kBurst;
  for (auto& [key, pool] : pools_) {
    if (!connected_ || pool.asked != 0 || pool.due > now) continue;
    if (--burst < 0 || asked_.size() >= kOpenRequestsMax) return;
    pool.due = now + options_.dead_letters_interval;
    Ask(Question::kDead, {key.pool_namespace, key.name, ""},
        "STREAM.INFO." + DeadStreamName(key.pool_namespace, key.name),
        "{\"subjects_filter\":\"" + DeadSubjectFilter(key.pool_namespace, key.name) + "\"}",
        &pool.asked);
  }
}

bool JetStreamLaneProbe::Loop::Ask(Question question, const LaneKey& key, const std::string& api,
                                   std::string_view body, std::uint64_t* token) {
  const std::uint64_t made = ++last_token_;
  const auto sent =
      connection_.PublishRequest("$JS.API." + api, inbox_ + "." + std::to_string(made), body);
  if (!sent) return false;
  asked_.emplace(made, Asked{question, key, clock_.Now()});
  *token = made;
  return true;
}

void JetStreamLaneProbe::Loop::AskLane(LaneState& lane) {
  if (!connected_) return;
  lane.ask_again = false;
  if (!Ask(Question::kConsumer, lane.lane.key, ConsumerInfoApi(lane.lane), {}, &lane.asked)) {
    DoubtSilence(lane);
  }
}

void JetStreamLaneProbe::Loop::GiveUpOnAnswers() {
  const MonotonicTime now = clock_.Now();
  while (!asked_.empty() && now - asked_.begin()->second.at >= options_.answer_timeout) {
    const Asked asked = asked_.begin()->second;
    asked_.erase(asked_.begin());
    {
      const std::lock_guard lock(latest_mutex_);
      ++stats_.unanswered;
    }
    if (asked.question == Question::kDead) {
      if (const auto pool = pools_.find(PoolOf(asked.key)); pool != pools_.end()) {
        pool->second.asked = 0;
      }
      continue;
    }
    LaneState* lane = Find(asked.key);
    if (lane == nullptr) continue;
    if (asked.question == Question::kOldest) {
      lane->oldest_asked = false;
      continue;
    }
    lane->asked = 0;
    DoubtSilence(*lane);
    if (lane->ask_again) AskLane(*lane);
  }
}

void JetStreamLaneProbe::Loop::DoubtSilence(LaneState& lane) {
  if (!connected_ || clock_.Now() - lane.answered_at < options_.stale_after) return;
  if (!lane.denied.empty()) {
    SetDoubt(lane, Doubt::kRefused, lane.denied);
  } else {
    SetDoubt(lane, Doubt::kStale,
             "no answer for more than " + std::to_string(options_.stale_after.count()) + " ms");
  }
}

void JetStreamLaneProbe::Loop::SetDoubt(LaneState& lane, Doubt doubt, std::string detail) {
  lane.sample.doubt = doubt;
  lane.sample.doubt_detail = std::move(detail);
  Publish(lane);
}

void JetStreamLaneProbe::Loop::SetDue(LaneState& lane, MonotonicTime due) {
  due_.erase({lane.due, &lane});
  lane.due = due;
  due_.insert({due, &lane});
}

void JetStreamLaneProbe::Loop::Publish(LaneState& lane) {
  bool changed = false;
  {
    const std::lock_guard lock(latest_mutex_);
    changed = !SameFacts(lane.view->sample, lane.sample);
    lane.view->sample = lane.sample;
  }
  if (changed && on_change_) on_change_(lane.lane.key);
}

}  // namespace lanekeeper
