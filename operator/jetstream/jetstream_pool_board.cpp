#include "operator/jetstream/jetstream_pool_board.h"

#include <algorithm>
#include <array>
#include <condition_variable>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <stop_token>
#include <string_view>
#include <thread>
#include <utility>

#include "operator/jetstream/pool_facts.h"
#include "operator/jetstream/writer_pace.h"
#include "worker-runtime/base/log.h"
#include "worker-runtime/base/text.h"
#include "worker-runtime/job/job.h"
#include "worker-runtime/job/names.h"
#include "worker-runtime/nats/jetstream.h"
#include "worker-runtime/nats/pool_brief_json.h"
#include "worker-runtime/nats/queue_setup.h"

namespace lanekeeper {
namespace {

using nats::ApiCause;
using std::chrono::milliseconds;

constexpr std::string_view kSpecToken = "spec";
constexpr std::string_view kStatusToken = "status";
// How a KV client says that a key is gone.
constexpr std::string_view kHeaderOperation = "KV-Operation";
constexpr std::string_view kDeleted = "DEL";

// Nothing: the key is not there.
using Value = std::optional<std::string>;

// "$KV.LK_pools.studio.media.spec" → studio/media. Nothing for keys that are not the operator's.
std::optional<PoolKey> PoolOfSubject(std::string_view subject) {
  constexpr int kPrefixTokens = 2;  // $KV.LK_pools.
  // The last token stands where a lane would.
  auto key = LaneKeyFromSubject(subject, kPrefixTokens);
  if (!key || (key->lane != kSpecToken && key->lane != kStatusToken)) return std::nullopt;
  PoolKey pool{std::move(key->pool_namespace), std::move(key->pool)};
  const bool whole = subject == PoolSpecSubject(pool.pool_namespace, pool.name) ||
                     subject == PoolStatusSubject(pool.pool_namespace, pool.name);
  return whole ? std::optional(std::move(pool)) : std::nullopt;
}

Value ValueOf(nats::StoredMessage message) {
  // A marker of a removal; a value has no such header.
  if (FindHeader(message.headers, kHeaderOperation)) return std::nullopt;
  return std::move(message.payload);
}

// What else all pools of an account have in common. Whoever needs one first makes it and does not
// know the pools: the ledger, a gateway, a worker.
constexpr std::array<std::string_view, 3> kSharedStreams{kLedgerStream, kKeyStream, kRecordStream};

// Trying the same again will not help.
bool ForGood(const nats::ApiError& error) {
  return error.cause == ApiCause::kRefused || error.error.kind == ErrorKind::kInvalid;
}

}  // namespace

class JetStreamPoolBoard::Writer {
 public:
  Writer(nats::Connection& connection, PoolBoardOptions options)
      : connection_(connection),
        options_(std::move(options)),
        jetstream_(connection, options_.answer_timeout) {}
  ~Writer() { Stop(); }

  void Start() {
    if (!thread_.joinable()) thread_ = std::jthread([this](std::stop_token stop) { Run(stop); });
  }
  void Stop() { thread_ = {}; }  // Stops and joins.

  const PoolBoardOptions& options() const { return options_; }

  void Want(const std::string& subject, Value value, int replicas = 1) {
    {
      const std::lock_guard lock(mutex_);
      replicas_ = std::max(replicas_, replicas);
      PutWanted(subject, std::move(value));
    }
    changed_.notify_one();
  }
  void Forget(const PoolKey& key) {
    {
      const std::lock_guard lock(mutex_);
      existing_.erase(key);
    }
    Want(PoolSpecSubject(key.pool_namespace, key.name), std::nullopt);
    Want(PoolStatusSubject(key.pool_namespace, key.name), std::nullopt);
  }
  void KeepOnly(const std::vector<PoolKey>& pools) {
    {
      const std::lock_guard lock(mutex_);
      existing_ = {pools.begin(), pools.end()};
      synced_ = true;
      sweep_ = true;
    }
    changed_.notify_one();
  }

  void Spare(const PoolKey& key) {
    const std::lock_guard lock(mutex_);
    existing_.insert(key);
  }

  void StartOver() {
    const std::lock_guard lock(mutex_);
    wanted_.clear();
    dirty_.clear();
    queued_.clear();
    existing_.clear();
    synced_ = false;
    sweep_ = false;
    start_over_ = true;
  }

  std::uint64_t written() const {
    const std::lock_guard lock(mutex_);
    return written_;
  }
  std::size_t waiting() const {
    const std::lock_guard lock(mutex_);
    return dirty_.size() + (writing_ ? 1 : 0);
  }

 private:
  // What tells one value from another. The values themselves would be as large again as those that
  // are wanted; two that nobody means to collide do not.
  struct Digest {
    std::size_t bytes = 0;
    std::uint64_t hash = 0;
    bool operator==(const Digest&) const = default;
  };
  static Digest DigestOf(std::string_view value) { return {value.size(), Fnv1a(value)}; }

  // Precondition: mutex_ is held.
  void PutWanted(const std::string& subject, Value value) {
    const auto [found, added] = wanted_.try_emplace(subject, value);
    if (!added && found->second == value) return;
    found->second = std::move(value);
    MarkDirty(subject);
  }
  // Precondition: mutex_ is held.
  void MarkDirty(const std::string& subject) {
    if (queued_.insert(subject).second) dirty_.push_back(subject);
  }

  void Run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      if (!connection_.Connected() || !MayWrite()) {
        ready_ = false;
        Sleep(stop, kConnectionPoll);
      } else if (!ready_ || epoch_ != connection_.Epoch() || RaisedReplicas() || StartsOver()) {
        SetUp(stop);
      } else if (std::chrono::steady_clock::now() >= recheck_at_) {
        Recheck();
      } else if (auto subject = Next(stop)) {
        Write(*subject, stop);
        const std::lock_guard lock(mutex_);
        writing_ = false;
      }
    }
  }

  bool MayWrite() const {
    return options_.leadership == nullptr || options_.leadership->Current().has_value();
  }

  bool StartsOver() const {
    const std::lock_guard lock(mutex_);
    return start_over_;
  }

  bool RaisedReplicas() const {
    const std::lock_guard lock(mutex_);
    return replicas_ > replicas_made_;
  }

  int ReplicasMade() const {
    const std::lock_guard lock(mutex_);
    return replicas_made_;
  }

  void Sleep(const std::stop_token& stop, milliseconds duration) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, stop, duration, [] { return false; });
  }

  // The next key to write; nothing on stop, or after a while, so that the connection is looked at.
  std::optional<std::string> Next(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, stop, kConnectionPoll, [this] { return sweep_ || !dirty_.empty(); });
    if (stop.stop_requested()) return std::nullopt;
    if (std::exchange(sweep_, false)) Sweep();
    if (dirty_.empty()) return std::nullopt;
    std::string subject = std::move(dirty_.front());
    dirty_.pop_front();
    queued_.erase(subject);
    writing_ = true;
    return subject;
  }

  // Makes the bucket exist and reads it; from then on stored_ is what it has.
  void SetUp(const std::stop_token& stop) {
    int replicas = 1;
    {
      const std::lock_guard lock(mutex_);
      replicas = replicas_;
      start_over_ = false;
    }
    epoch_ = connection_.Epoch();
    const Result<void> made = nats::EnsureBucket(
        jetstream_, kPoolBucket, {.replicas = replicas, .age_max = std::chrono::hours(0)});
    const Result<void> read = made ? ReadBucket(stop) : made;
    if (stop.stop_requested()) return;
    if (!read) return Failed("not_told", read.error(), stop);
    RaiseShared(replicas);
    failures_ = 0;
    ready_ = true;
    recheck_at_ = std::chrono::steady_clock::now() + options_.recheck_interval;
    const std::lock_guard lock(mutex_);
    replicas_made_ = replicas;
    if (synced_) Sweep();
    for (const auto& [subject, value] : wanted_) MarkDirty(subject);
  }

  // Not in the way of telling; tried again at every look.
  void RaiseShared(int replicas) {
    if (replicas <= 1) return;
    std::string problem;
    for (const std::string_view stream : kSharedStreams) {
      const auto raised = nats::RaiseReplicas(jetstream_, stream, replicas);
      if (!raised) problem = std::string(stream) + ": " + raised.error().message;
    }
    if (!problem.empty() && problem != raise_problem_) {
      log::Warning("pool_board", "fewer_replicas", {{"error", problem}});
    }
    raise_problem_ = std::move(problem);
  }

  Result<void> ReadBucket(const std::stop_token& stop) {
    std::map<std::string, Digest, std::less<>> stored;
    const auto state = jetstream_.StreamInfo(kPoolStream, "$KV." + std::string(kPoolBucket) + ".>");
    if (!state) return nats::Wrap(state.error(), "reading what gateways were told");
    for (const auto& [subject, count] : state->subjects) {
      if (stop.stop_requested()) return {};
      if (!PoolOfSubject(subject)) continue;
      auto last = jetstream_.LastMessage(kPoolStream, subject);
      if (!last && last.error().cause == ApiCause::kMessageMissing) continue;
      if (!last) return nats::Wrap(last.error(), "reading what gateways were told");
      if (const Value value = ValueOf(*std::move(last))) {
        stored.emplace(subject, DigestOf(*value));
      }
    }
    stored_ = std::move(stored);
    last_sequence_ = state->last_sequence;
    return {};
  }

  // Pools of before that are no more. Precondition: mutex_ is held, stored_ has been read.
  void Sweep() {
    for (const auto& [subject, value] : stored_) {
      const auto pool = PoolOfSubject(subject);
      if (!pool || wanted_.contains(subject) || existing_.contains(*pool)) continue;
      if (!options_.only_namespace.empty() && pool->pool_namespace != options_.only_namespace) {
        continue;
      }
      PutWantedGone(subject);
    }
  }
  // Precondition: mutex_ is held.
  void PutWantedGone(const std::string& subject) {
    wanted_[subject] = std::nullopt;
    MarkDirty(subject);
  }

  void Write(const std::string& subject, const std::stop_token& stop) {
    Value value;
    {
      const std::lock_guard lock(mutex_);
      const auto found = wanted_.find(subject);
      if (found == wanted_.end()) return;
      value = found->second;
    }
    const auto stored = stored_.find(subject);
    const bool same = value ? stored != stored_.end() && stored->second == DigestOf(*value)
                            : stored == stored_.end();
    if (!same) {
      if (!MayWrite()) return;  // Another leads, and tells its own.
      const auto ack =
          value ? jetstream_.PublishAck(subject, *value)
                : jetstream_.PublishAck(subject, "",
                                        {{std::string(kHeaderOperation), std::string(kDeleted)}});
      if (!ack) return WriteFailed(subject, ack.error(), stop);
      last_sequence_ = ack->sequence;
      if (value) {
        stored_.insert_or_assign(subject, DigestOf(*value));
      } else {
        stored_.erase(stored);
      }
    }
    failures_ = 0;
    const std::lock_guard lock(mutex_);
    if (!same) ++written_;
    // Nothing has to be remembered of a key that is gone, unless it was told of meanwhile.
    const auto found = wanted_.find(subject);
    if (!value && found != wanted_.end() && !found->second) wanted_.erase(found);
  }

  void WriteFailed(const std::string& subject, const nats::ApiError& error,
                   const std::stop_token& stop) {
    if (ForGood(error)) {
      log::Error("pool_board", "refused", {{"key", subject}, {"error", error.error.message}});
      return;
    }
    if (error.cause == ApiCause::kStreamMissing) {
      ready_ = false;  // Everything is told again.
    } else {
      const std::lock_guard lock(mutex_);
      MarkDirty(subject);
    }
    // After a lost answer it is not known what the bucket has.
    if (error.cause == ApiCause::kNoAnswer) ready_ = false;
    Failed("not_told", error.error, stop);
  }

  void Failed(std::string_view event, const Error& error, const std::stop_token& stop) {
    if (failures_ == 0) log::Warning("pool_board", event, {{"error", error.message}});
    failures_ = std::min(failures_ + 1, kRetryWaitGrowthMax);
    const auto until = std::chrono::steady_clock::now() + options_.retry_wait * failures_;
    // News does not shorten the wait.
    while (!stop.stop_requested() && std::chrono::steady_clock::now() < until) {
      Sleep(stop, kConnectionPoll);
    }
  }

  // A bucket that was removed, made anew or written by somebody else is read again.
  void Recheck() {
    recheck_at_ = std::chrono::steady_clock::now() + options_.recheck_interval;
    RaiseShared(ReplicasMade());
    const auto state = jetstream_.StreamInfo(kPoolStream);
    if (state && state->last_sequence == last_sequence_) return;
    if (!state && state.error().cause != ApiCause::kStreamMissing) return;
    ready_ = false;
  }

  nats::Connection& connection_;
  const PoolBoardOptions options_;
  const nats::JetStream jetstream_;

  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  // Under mutex_.
  std::map<std::string, Value, std::less<>> wanted_;  // By subject.
  std::deque<std::string> dirty_;                     // To be compared and written, in order.
  std::set<std::string, std::less<>> queued_;         // The same, to find them.
  bool writing_ = false;                              // One more, taken off the queue.
  std::set<PoolKey> existing_;
  bool synced_ = false;  // existing_ is complete.
  bool sweep_ = false;
  bool start_over_ = false;  // What the bucket has is to be read again.
  int replicas_ = 1;
  int replicas_made_ = 1;
  std::uint64_t written_ = 0;

  // Of the thread only.
  std::map<std::string, Digest, std::less<>> stored_;  // What the bucket has.
  std::uint64_t last_sequence_ = 0;
  bool ready_ = false;
  std::uint64_t epoch_ = 0;
  int failures_ = 0;
  std::string raise_problem_;  // Said last.
  std::chrono::steady_clock::time_point recheck_at_{};

  std::jthread thread_;
};

JetStreamPoolBoard::JetStreamPoolBoard(nats::Connection& connection, PoolBoardOptions options)
    : writer_(std::make_unique<Writer>(connection, std::move(options))) {}

JetStreamPoolBoard::~JetStreamPoolBoard() = default;

void JetStreamPoolBoard::Start() { writer_->Start(); }
void JetStreamPoolBoard::Stop() { writer_->Stop(); }

void JetStreamPoolBoard::Tell(const WorkerPool& pool) {
  writer_->Want(PoolSpecSubject(pool.key.pool_namespace, pool.key.name),
                nats::WritePoolBrief(BriefOf(pool)), ReplicasOf(pool));
}

void JetStreamPoolBoard::TellStatus(const PoolKey& key, const PoolStatus& status) {
  writer_->Want(PoolStatusSubject(key.pool_namespace, key.name),
                writer_->options().status_json(status));
}

void JetStreamPoolBoard::Forget(const PoolKey& key) { writer_->Forget(key); }
void JetStreamPoolBoard::KeepOnly(const std::vector<PoolKey>& pools) { writer_->KeepOnly(pools); }
void JetStreamPoolBoard::Spare(const PoolKey& key) { writer_->Spare(key); }
void JetStreamPoolBoard::StartOver() { writer_->StartOver(); }
std::uint64_t JetStreamPoolBoard::written() const { return writer_->written(); }
std::size_t JetStreamPoolBoard::waiting() const { return writer_->waiting(); }

}  // namespace lanekeeper
