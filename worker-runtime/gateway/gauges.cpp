#include "worker-runtime/gateway/gauges.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "worker-runtime/gateway/gateway_scan.h"
#include "worker-runtime/job/names.h"

namespace lanekeeper::gateway {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::chrono::seconds kDrainWindow{5};
constexpr milliseconds kLookTimeout{2000};
constexpr milliseconds kFreshMin{1000};
constexpr std::chrono::nanoseconds kWakePause = milliseconds(20);
constexpr std::chrono::seconds kReadAgainAfter{2};

bool HasWildcard(std::string_view subject) {
  return subject.find_first_of("*>") != std::string_view::npos;
}

}  // namespace

void DrainRate::Add(MonotonicTime at, std::uint64_t stored_ever, std::int64_t messages) {
  const std::int64_t left = static_cast<std::int64_t>(stored_ever) - messages;
  // The stream was made anew.
  if (!seen_.empty() && left < seen_.back().left) seen_.clear();
  seen_.push_back({at, left});
  while (seen_.size() > 1 && at - seen_.front().at > kDrainWindow) seen_.pop_front();
}

double DrainRate::PerSecond() const {
  if (seen_.size() < 2) return 0;
  const std::chrono::duration<double> time = seen_.back().at - seen_.front().at;
  if (time.count() <= 0) return 0;
  return static_cast<double>(seen_.back().left - seen_.front().left) / time.count();
}

// Two questions at once; the second answer ends the look.
struct GaugedLane::Look {
  std::mutex mutex;
  int missing = 2;
  std::uint64_t number = 0;
  std::int64_t published = 0;  // By this gateway when it began.
  std::optional<nats::StreamState> stream;
  std::optional<nats::ConsumerState> consumer;
};

GaugedLane::GaugedLane(LaneKey key, GaugeOptions options, nats::Connection& connection,
                       std::shared_ptr<CallQueue> waiting)
    : key_(std::move(key)),
      options_(options),
      connection_(connection),
      waiting_(std::move(waiting)) {}

void GaugedLane::Want(const LaneBrief& brief, MonotonicTime now) {
  const std::lock_guard lock(mutex_);
  wanted_until_ = now + options_.idle;
  if (brief.stream == brief_.stream && brief.consumer == brief_.consumer &&
      brief.external == brief_.external) {
    return;
  }
  brief_ = brief;
  gauge_.reset();
  drain_ = {};
  subject_ = brief.external ? std::string() : JobSubject(key_);
  callers_known_ = false;
}

bool GaugedLane::Wanted(MonotonicTime now) const {
  const std::lock_guard lock(mutex_);
  return now < wanted_until_;
}

bool GaugedLane::Fresh(MonotonicTime now) const {
  const milliseconds old = std::max(kFreshMin, 5 * options_.interval);
  return gauge_ && now - seen_at_ <= old;
}

void GaugedLane::Sample() {
  auto look = std::make_shared<Look>();
  std::string stream;
  std::string consumer;
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(looking_, true)) return;
    look->number = ++looks_;
    look->published = published_;
    stream = brief_.stream;
    consumer = brief_.consumer;
  }
  const auto take = [look, self = shared_from_this()](const Result<nats::Message>& answer,
                                                      auto parse, auto member) {
    {
      const std::lock_guard lock(look->mutex);
      if (answer) {
        if (auto state = parse(*answer)) (*look).*member = *std::move(state);
      }
      if (--look->missing > 0) return;
    }
    self->TakeLook(*look);
  };
  connection_.RequestAsync("$JS.API.STREAM.INFO." + stream, "", {}, kLookTimeout,
                           [take](const Result<nats::Message>& answer) {
                             take(
                                 answer,
                                 [](const nats::Message& message) {
                                   return nats::ParseStreamState(message, /*with_config=*/true);
                                 },
                                 &Look::stream);
                           });
  connection_.RequestAsync(
      "$JS.API.CONSUMER.INFO." + stream + "." + consumer, "", {}, kLookTimeout,
      [take](const Result<nats::Message>& answer) {
        take(
            answer, [](const nats::Message& message) { return nats::ParseConsumerState(message); },
            &Look::consumer);
      });
}

void GaugedLane::TakeLook(const Look& look) {
  const MonotonicTime now = steady_clock::now();
  std::vector<std::function<void()>> after;
  {
    const std::lock_guard lock(mutex_);
    looking_ = false;
    after.swap(after_look_);
    if (look.stream) {
      const nats::StreamState& stream = *look.stream;
      const nats::ConsumerState* const consumer = look.consumer ? &*look.consumer : nullptr;
      // A gap in the looks: what left meanwhile left at no rate that still holds.
      if (!Fresh(now)) drain_ = {};
      drain_.Add(now, stream.last_sequence, stream.messages);
      gauge_ = LaneGauge{.depth = stream.messages,
                         .waiting = consumer != nullptr ? consumer->pending : stream.messages,
                         .drained_per_second = drain_.PerSecond(),
                         .predicted_wait = std::nullopt};
      seen_at_ = now;
      published_seen_ = look.published;
      last_sequence_ = stream.last_sequence;
      if (look.number > full_since_) full_since_ = 0;
      if (consumer != nullptr) {
        delivered_ = consumer->delivered_stream_sequence;
        callers_.Delivered(delivered_, stream.last_sequence);
      }
      if (brief_.external) ReadSubject(stream, consumer);
    }
  }
  for (const auto& call : after) call();
}

// Jobs of an external lane go where its consumer finds them: to the subject it reads, or the only
// one its stream takes.
void GaugedLane::ReadSubject(const nats::StreamState& stream, const nats::ConsumerState* consumer) {
  subject_.clear();
  subject_problem_.clear();
  if (consumer != nullptr && !consumer->filter_subject.empty()) {
    subject_ = consumer->filter_subject;
  } else {
    const json config = json::parse(stream.config_json, nullptr, /*allow_exceptions=*/false);
    const auto subjects = config.is_object() ? config.find("subjects") : config.end();
    if (config.is_object() && subjects != config.end() && subjects->is_array() &&
        subjects->size() == 1 && subjects->front().is_string()) {
      subject_ = subjects->front().get<std::string>();
    }
  }
  if (!subject_.empty() && !HasWildcard(subject_)) return;
  subject_.clear();
  subject_problem_ =
      "Stream " + brief_.stream + " of lane " + ToString(key_) +
      " takes more than one subject, so a gateway does not know which to publish to. "
      "Give its consumer one filter_subject without a wildcard, or publish over NATS.";
}

void GaugedLane::WhenReady(bool callers, std::function<void(Answer<void>)> then) {
  const MonotonicTime now = steady_clock::now();
  bool sample = false;
  {
    std::unique_lock lock(mutex_);
    const bool ready = Fresh(now) && (!callers || callers_known_) && !subject_.empty();
    if (ready) {
      lock.unlock();
      return then({});
    }
    sample = !Fresh(now);
    if (sample) {
      after_look_.push_back(
          [self = shared_from_this(), callers, then] { self->AfterLook(callers, then); });
    }
  }
  if (sample) return Sample();
  AfterLook(callers, std::move(then));
}

void GaugedLane::AfterLook(bool callers, std::function<void(Answer<void>)> then) {
  std::optional<Problem> problem;
  bool count = false;
  bool wait = false;
  {
    const std::lock_guard lock(mutex_);
    if (subject_.empty()) {
      problem = Problem{ProblemType::kQueueUnavailable,
                        subject_problem_.empty()
                            ? "Stream " + brief_.stream + " of lane " + ToString(key_) +
                                  " cannot be read, so nothing is published to it. Try again."
                            : subject_problem_,
                        kReadAgainAfter};
    } else if (callers && !callers_known_) {
      if (!gauge_) {
        problem = Problem{ProblemType::kQueueUnavailable,
                          "Lane " + ToString(key_) +
                              " cannot be read, so the caller's jobs cannot be counted. Try again.",
                          kReadAgainAfter};
      } else {
        wait = true;
        after_callers_.push_back(then);
        count = !std::exchange(counting_callers_, true);
      }
    }
  }
  if (problem) return then(tl::unexpected(*std::move(problem)));
  if (!wait) return then({});
  if (count && !waiting_->Add(
                   [self = shared_from_this()](const std::stop_token&) { self->CountCallers(); })) {
    EndCallers(Problem{ProblemType::kTooManyRequests,
                       "This gateway has too much in hand. Try again.", kReadAgainAfter});
  }
}

// Once: from then on this gateway counts what it puts in itself.
void GaugedLane::CountCallers() {
  ScanRange range;
  {
    const std::lock_guard lock(mutex_);
    range = {.stream = brief_.stream, .subject = subject_, .first_sequence = delivered_ + 1};
  }
  const auto read = ScanStream(connection_, range, [this](const nats::StoredMessage& stored) {
    const auto caller = lanekeeper::FindHeader(stored.headers, kHeaderCaller);
    if (!caller || caller->size() > kCallerBytesMax) return true;
    const std::lock_guard lock(mutex_);
    callers_.Found(Caller(*caller), stored.sequence);
    return true;
  });
  if (read) return EndCallers(std::nullopt);
  EndCallers(Problem{ProblemType::kQueueUnavailable,
                     "The caller's jobs in lane " + ToString(key_) +
                         " cannot be counted: " + read.error().message + ". Try again.",
                     kReadAgainAfter});
}

void GaugedLane::EndCallers(std::optional<Problem> problem) {
  std::vector<std::function<void(Answer<void>)>> after;
  {
    const std::lock_guard lock(mutex_);
    counting_callers_ = false;
    callers_known_ = !problem;
    after.swap(after_callers_);
  }
  for (const auto& call : after) {
    call(problem ? Answer<void>(tl::unexpected(*problem)) : Answer<void>());
  }
}

std::optional<LaneGauge> GaugedLane::Gauge() const {
  const std::lock_guard lock(mutex_);
  if (!gauge_) return std::nullopt;
  LaneGauge gauge = *gauge_;
  const std::int64_t since = std::max<std::int64_t>(0, published_ - published_seen_);
  gauge.waiting += since;
  return gauge;
}

bool GaugedLane::Full() const {
  const std::lock_guard lock(mutex_);
  return full_since_ > 0;
}

std::string GaugedLane::Subject() const {
  const std::lock_guard lock(mutex_);
  return subject_;
}

void GaugedLane::NotePublishing() {
  const std::lock_guard lock(mutex_);
  ++published_;
}

void GaugedLane::NoteNotStored() {
  const std::lock_guard lock(mutex_);
  --published_;
}

void GaugedLane::NoteFull() {
  const std::lock_guard lock(mutex_);
  // Only a look that begins from now on can say that there is room.
  full_since_ = std::max<std::uint64_t>(1, looks_);
}

std::int64_t GaugedLane::CallerWaiting(const Caller& caller) const {
  const std::lock_guard lock(mutex_);
  return callers_.Waiting(caller);
}

void GaugedLane::BeginCaller(const Caller& caller) {
  const std::lock_guard lock(mutex_);
  callers_.Begin(caller);
}

void GaugedLane::EndCaller(const Caller& caller, std::uint64_t sequence) {
  const std::lock_guard lock(mutex_);
  callers_.End(caller, sequence);
}

bool GaugedLane::TakeWake(MonotonicTime now) {
  const std::int64_t now_ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(now.time_since_epoch()).count();
  std::int64_t due = next_wake_ns_.load(std::memory_order_relaxed);
  return now_ns >= due && next_wake_ns_.compare_exchange_strong(due, now_ns + kWakePause.count());
}

std::shared_ptr<GaugedLane> LaneGauges::LaneOf(const LaneKey& key) {
  if (auto known = Find(key)) return known;
  const std::unique_lock lock(mutex_);
  auto& lane = lanes_[key];
  if (!lane) lane = std::make_shared<GaugedLane>(key, options_, connection_, waiting_);
  return lane;
}

std::shared_ptr<GaugedLane> LaneGauges::Find(const LaneKey& key) const {
  const std::shared_lock lock(mutex_);
  const auto found = lanes_.find(key);
  return found == lanes_.end() ? nullptr : found->second;
}

void LaneGauges::Look(MonotonicTime now, const std::function<bool(const LaneKey&)>& exists) {
  std::vector<std::shared_ptr<GaugedLane>> wanted;
  std::vector<LaneKey> idle;
  {
    const std::shared_lock lock(mutex_);
    for (const auto& [key, lane] : lanes_) {
      if (lane->Wanted(now)) {
        wanted.push_back(lane);
      } else {
        idle.push_back(key);
      }
    }
  }
  for (const auto& lane : wanted) lane->Sample();
  for (const LaneKey& key : idle) {
    if (exists(key)) continue;
    const std::unique_lock lock(mutex_);
    lanes_.erase(key);
  }
}

}  // namespace lanekeeper::gateway
