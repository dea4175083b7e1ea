#include "worker-runtime/gateway/job_desk_watch.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>
#include <utility>

#include "worker-runtime/base/clock.h"
#include "worker-runtime/nats/gate.h"
#include "worker-runtime/nats/revision_header.h"

namespace lanekeeper::gateway {
namespace {

using std::chrono::milliseconds;

constexpr int kReadsMax = 256;  // Under way at once.
// Of one job. What is dropped is seen with the next regular look.
constexpr int kHintsQueued = 256;
constexpr milliseconds kAwayPause{1000};
constexpr std::chrono::seconds kWatchRetry{5};
// A hint is heard when the write is sent; it is stored a moment later, or refused.
constexpr std::array<milliseconds, 6> kAfterHint{milliseconds(1),   milliseconds(5),
                                                 milliseconds(20),  milliseconds(80),
                                                 milliseconds(320), milliseconds(1280)};
// Lanes that record no starts give no hints of jobs that go well: these are looked at so often, all
// together at most so many times a second.
constexpr milliseconds kUnrecordedPause{1000};
constexpr std::size_t kUnrecordedPerSecond = 500;

MonotonicTime Now() { return SystemClock().Now(); }

// Of its records in every lane of its pool.
std::string SubjectOf(const JobView& job) {
  return RecordSubject({job.lane.pool_namespace, job.lane.pool, "*"}, job.id);
}

// A hint is about a write that is not stored yet: once it is, the revision is greater than this. A
// write that does not say so is looked for as long as any.
std::uint64_t RevisionBefore(const nats::Message& hint) {
  std::uint64_t revision = std::numeric_limits<std::uint64_t>::max();
  const auto expected = FindHeader(hint.headers, nats::kHeaderExpectedRevision);
  if (expected) std::from_chars(expected->data(), expected->data() + expected->size(), revision);
  return revision;
}

}  // namespace

struct WatchHub::Watcher {
  Changed changed;
  nats::Gate gate;
  std::uint64_t told = 0;               // Revision.
  std::optional<ViewState> told_state;  // Nothing: not called yet.
  bool over = false;
};

struct WatchHub::Watched {
  std::string subject;
  std::unique_ptr<nats::Registration> registration;
  std::vector<std::shared_ptr<Watcher>> watchers;
  JobView last;
  std::string lane;  // To look in first; empty: as the id says, or in all.
  Tracking tracking = Tracking::kFull;
  std::optional<Due::iterator> due;
  bool reading = false;
  bool hinted = false;         // While it was being read.
  std::uint64_t outdated = 0;  // By the hints: this revision and those before it.
  // Looks since the last hint that saw nothing new.
  std::size_t after_hint = kAfterHint.size();
  bool listening = false;
  bool over = false;
};

class WatchHub::Handle final : public JobWatch {
 public:
  Handle(std::shared_ptr<WatchHub> hub, std::string subject, std::shared_ptr<Watcher> watcher)
      : hub_(std::move(hub)), subject_(std::move(subject)), watcher_(std::move(watcher)) {}
  ~Handle() override {
    watcher_->gate.Shut();
    hub_->End(subject_, watcher_);
  }

 private:
  const std::shared_ptr<WatchHub> hub_;
  const std::string subject_;
  const std::shared_ptr<Watcher> watcher_;
};

std::shared_ptr<WatchHub> WatchHub::Start(DeskCore& core) {
  const std::shared_ptr<WatchHub> hub(new WatchHub(core));
  hub->changes_ = core.connection.OnChange(
      [weak = std::weak_ptr<WatchHub>(hub)](const nats::ConnectionChange& change) {
        if (change.kind != nats::ConnectionChange::Kind::kConnected) return;
        if (const auto alive = weak.lock()) alive->LookAgainAtAll();
      });
  hub->thread_ = std::jthread([raw = hub.get()](const std::stop_token& stop) { raw->Run(stop); });
  return hub;
}

WatchHub::~WatchHub() { Stop(); }

void WatchHub::Stop() {
  changes_.reset();
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
  std::map<std::string, WatchedHandle> left;
  std::vector<std::unique_ptr<nats::Registration>> registrations;
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    left = std::move(watched_);
    watched_.clear();
    due_.clear();
    answers_.clear();
    for (const auto& [subject, watched] : left) {
      watched->due.reset();
      registrations.push_back(std::move(watched->registration));
    }
  }
}

std::size_t WatchHub::Watches() const {
  const std::lock_guard lock(mutex_);
  return watches_;
}

Answer<std::unique_ptr<JobWatch>> WatchHub::Watch(const JobView& job, std::uint64_t after,
                                                  Changed changed) {
  const auto watcher = std::make_shared<Watcher>();
  watcher->changed = std::move(changed);
  watcher->told = after;
  if (after != 0) watcher->told_state = job.state;
  WatchedHandle watched;
  {
    const std::lock_guard lock(mutex_);
    if (stopped_ || watches_ >= core_.options.watches_max) {
      return Refuse(ProblemType::kTooManyRequests,
                    "this gateway watches " + std::to_string(watches_) +
                        " jobs already; ask for the job itself now and then, or watch it later",
                    kWatchRetry);
    }
    ++watches_;
    watched = Entry(job);
    watched->watchers.push_back(watcher);
  }
  auto handle = std::make_unique<Handle>(shared_from_this(), watched->subject, watcher);
  // First the ear, then the look: nothing is missed between them.
  if (auto listening = Listen(watched); !listening) {
    return tl::unexpected(Unavailable("watching a job", listening.error()));
  }
  const std::lock_guard lock(mutex_);
  if (watched->reading) {
    watched->hinted = true;
  } else {
    SetDue(watched, Now());
  }
  return handle;
}

WatchHub::WatchedHandle WatchHub::Entry(const JobView& job) {
  std::string subject = SubjectOf(job);
  WatchedHandle& entry = watched_[subject];
  if (entry == nullptr) {
    entry = std::make_shared<Watched>();
    entry->subject = std::move(subject);
    entry->last = job;
    const bool moving = job.record && job.record->state == JobState::kMoved;
    if (!moving) entry->lane = job.lane.lane;
    const auto pool = core_.pools.Find(job.lane.pool_namespace, job.lane.pool);
    const LaneBrief* lane = pool == nullptr ? nullptr : pool->FindLane(job.lane.lane);
    if (lane != nullptr) entry->tracking = lane->tracking;
  }
  return entry;
}

Result<void> WatchHub::Listen(const WatchedHandle& watched) {
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(watched->listening, true)) return {};
  }
  auto registration = core_.connection.SubscribeCallback(
      watched->subject,
      [weak_hub = weak_from_this(),
       weak = std::weak_ptr<Watched>(watched)](const nats::Message& hint) {
        if (const auto hub = weak_hub.lock()) hub->Hinted(weak, RevisionBefore(hint));
      },
      kHintsQueued);
  const std::lock_guard lock(mutex_);
  if (!registration) {
    watched->listening = false;
    return tl::unexpected(std::move(registration).error());
  }
  watched->registration = *std::move(registration);
  return {};
}

void WatchHub::End(const std::string& subject, const std::shared_ptr<Watcher>& watcher) {
  std::unique_ptr<nats::Registration> registration;  // Ends without the lock: it waits for a hint.
  {
    const std::lock_guard lock(mutex_);
    --watches_;
    const auto found = watched_.find(subject);
    if (found == watched_.end()) return;
    const WatchedHandle watched = found->second;
    std::erase(watched->watchers, watcher);
    if (!watched->watchers.empty()) return;
    TakeOff(watched);
    registration = std::move(watched->registration);
    watched_.erase(found);
  }
}

// ---- What is heard ----

void WatchHub::Hinted(const std::weak_ptr<Watched>& hinted, std::uint64_t outdated) {
  const WatchedHandle watched = hinted.lock();
  if (watched == nullptr) return;
  const std::lock_guard lock(mutex_);
  if (stopped_ || watched->watchers.empty()) return;
  watched->after_hint = 0;
  watched->outdated = std::max(watched->outdated, outdated);
  if (watched->reading) {
    watched->hinted = true;
  } else {
    SetDue(watched, Now() + kAfterHint[watched->after_hint++]);
  }
}

void WatchHub::LookAgainAtAll() {
  const std::lock_guard lock(mutex_);
  const MonotonicTime now = Now();
  for (const auto& [subject, watched] : watched_) {
    if (watched->over) continue;
    if (watched->reading) {
      watched->hinted = true;
    } else {
      SetDue(watched, now);
    }
  }
}

// ---- Looks ----

void WatchHub::SetDue(const WatchedHandle& watched, MonotonicTime time) {
  if (watched->due && (*watched->due)->first <= time) return;
  TakeOff(watched);
  const bool first = due_.empty() || time < due_.begin()->first;
  watched->due = due_.emplace(time, watched);
  if (first) changed_.notify_all();
}

void WatchHub::TakeOff(const WatchedHandle& watched) {
  if (!watched->due) return;
  due_.erase(*watched->due);
  watched->due.reset();
}

std::vector<WatchHub::WatchedHandle> WatchHub::TakeDue(MonotonicTime now) {
  std::vector<WatchedHandle> taken;
  while (!due_.empty() && due_.begin()->first <= now && reading_ < kReadsMax) {
    WatchedHandle watched = due_.begin()->second;
    TakeOff(watched);
    watched->reading = true;
    watched->hinted = false;
    ++reading_;
    taken.push_back(std::move(watched));
  }
  return taken;
}

void WatchHub::Run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    const std::vector<WatchedHandle> taken = TakeDue(Now());
    auto answers = std::exchange(answers_, {});
    if (taken.empty() && answers.empty()) {
      const bool may_read = !due_.empty() && reading_ < kReadsMax;
      const MonotonicTime wake = may_read ? due_.begin()->first : Now() + std::chrono::hours(1);
      changed_.wait_until(lock, stop, wake, [&] {
        return !answers_.empty() ||
               (reading_ < kReadsMax && !due_.empty() && due_.begin()->first < wake);
      });
      continue;
    }
    lock.unlock();
    for (const WatchedHandle& watched : taken) Read(watched);
    for (auto& [watched, read] : answers) Tell(watched, std::move(read));
    lock.lock();
  }
}

void WatchHub::Read(const WatchedHandle& watched) {
  LaneKey lane;
  std::string id;
  FindOptions options{.lane = {}, .scan = false, .position = false};
  {
    const std::lock_guard lock(mutex_);
    lane = watched->last.lane;
    id = watched->last.id;
    options.lane = watched->lane;
    if (!options.lane.empty()) options.sequence = watched->last.sequence;
  }
  FindJob(core_, lane.pool_namespace, lane.pool, id, std::move(options),
          [weak = weak_from_this(), watched](Answer<Found> read) {
            const auto hub = weak.lock();
            if (hub == nullptr) return;
            const std::lock_guard lock(hub->mutex_);
            hub->answers_.emplace_back(watched, std::move(read));
            hub->changed_.notify_all();
          });
}

void WatchHub::Tell(const WatchedHandle& watched, Answer<Found> read) {
  std::vector<std::shared_ptr<Watcher>> watchers;
  JobView view;
  {
    const std::lock_guard lock(mutex_);
    watchers = Note(watched, std::move(read));
    view = watched->last;
  }
  for (const auto& watcher : watchers) {
    watcher->gate.Run([&] { watcher->changed(view); });
  }
}

// Takes in what was read; returns who is to be told.
std::vector<std::shared_ptr<WatchHub::Watcher>> WatchHub::Note(const WatchedHandle& watched,
                                                               Answer<Found> read) {
  watched->reading = false;
  --reading_;
  if (watched->watchers.empty()) return {};
  JobView& last = watched->last;
  const std::uint64_t before = last.revision;
  bool away = false;
  if (read) {
    last = std::move(read->view);
    watched->tracking = read->lane.tracking;
    watched->lane = read->moved_from.empty()
                        ? last.lane.lane
                        : read->moved_from.substr(0, read->moved_from.find('.'));
  } else if (read.error().type == ProblemType::kJobNotFound) {
    // Where only failures are recorded, a job without a record that has left its lane went well.
    if (watched->tracking == Tracking::kFailures && before == 0) {
      last.state = ViewState::kDone;
    } else {
      last.gone = true;
    }
  } else if (read.error().type == ProblemType::kPoolNotFound) {
    last.gone = true;
  } else {
    away = true;
  }
  watched->over = Over(last);
  std::vector<std::shared_ptr<Watcher>> told;
  for (const auto& watcher : watched->watchers) {
    const bool news = last.revision > watcher->told || watched->over ||
                      (last.revision == 0 && watcher->told_state != last.state);
    if (away || watcher->over || !news) continue;
    const bool knows = last.revision != 0 && last.revision <= watcher->told && !last.gone;
    watcher->over = watched->over;
    watcher->told = std::max(watcher->told, last.revision);
    watcher->told_state = last.state;
    if (!knows) told.push_back(watcher);
  }
  if (watched->over) return told;
  const MonotonicTime now = Now();
  if (std::exchange(watched->hinted, false)) {
    SetDue(watched, now + kAfterHint.front());
  } else if (away) {
    SetDue(watched, now + kAwayPause);
  } else {
    SetDue(watched, now + NextLook(*watched, last.revision > watched->outdated));
  }
  return told;
}

// `seen`: what the hints were about.
std::chrono::milliseconds WatchHub::NextLook(Watched& watched, bool seen) const {
  if (seen) watched.after_hint = kAfterHint.size();
  if (watched.after_hint < kAfterHint.size()) return kAfterHint[watched.after_hint++];
  // It was refused, or did not say what it is about.
  watched.outdated = 0;
  const milliseconds regular = core_.options.recheck_interval;
  if (watched.tracking == Tracking::kFull) return regular;
  const milliseconds fair(watched_.size() * 1000 / kUnrecordedPerSecond);
  return std::min(regular, std::max(kUnrecordedPause, fair));
}

}  // namespace lanekeeper::gateway
