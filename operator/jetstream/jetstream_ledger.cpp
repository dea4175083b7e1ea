#include "operator/jetstream/jetstream_ledger.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <nlohmann/json.hpp>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>

#include "operator/jetstream/ledger_json.h"
#include "operator/jetstream/writer_pace.h"
#include "worker-runtime/base/log.h"
#include "worker-runtime/job/names.h"

namespace lanekeeper {
namespace {

using nats::ApiCause;
using nlohmann::json;
using std::chrono::milliseconds;

constexpr std::chrono::minutes kTellOfDropsEvery{1};

std::string StreamConfig(const LedgerOptions& options, std::int64_t bytes) {
  return json{{"name", kLedgerStream},
              {"subjects", {kLedgerFilter}},
              {"retention", "limits"},
              {"storage", "file"},
              {"discard", "old"},
              {"max_age", std::chrono::nanoseconds(kLedgerAgeMax).count()},
              {"max_bytes", bytes},
              {"max_msgs_per_subject", kLedgerEntriesPerLaneMax},
              {"num_replicas", options.replicas},
              {"allow_direct", true},
              {"compression", "s2"},
              {"metadata", {{"lanekeeper.dev/schema", "1"}}}}
      .dump();
}

// One that exists is taken as it is: its limits may have been set by a person.
Result<void> CheckExisting(const std::string& config_json) {
  const json config = json::parse(config_json, nullptr, /*allow_exceptions=*/false);
  const auto subjects = config.is_object() ? config.find("subjects") : config.end();
  if (config.is_object() && subjects != config.end() && *subjects == json::array({kLedgerFilter})) {
    return {};
  }
  return Fail(ErrorKind::kInvalid, "stream " + std::string(kLedgerStream) +
                                       " exists with subjects other than " +
                                       std::string(kLedgerFilter) + "; rename or delete it");
}

Result<void> EnsureStream(const nats::JetStream& jetstream, const LedgerOptions& options) {
  const auto existing = jetstream.StreamInfo(kLedgerStream);
  if (existing) return CheckExisting(existing->config_json);
  if (existing.error().cause != ApiCause::kStreamMissing) {
    return nats::Wrap(existing.error(), "setting up the ledger");
  }
  std::int64_t bytes = std::max(options.bytes_max, kLedgerBytesMin);
  while (true) {
    const auto made = jetstream.CreateStream(kLedgerStream, StreamConfig(options, bytes));
    if (made) {
      log::Info("ledger", "stream_created", {{"stream", kLedgerStream}, {"max_bytes", bytes}});
      return {};
    }
    if (made.error().cause != ApiCause::kNoRoom || bytes == kLedgerBytesMin) {
      return nats::Wrap(made.error(), "setting up the ledger");
    }
    bytes = std::max(bytes / 4, kLedgerBytesMin);
  }
}

}  // namespace

class JetStreamLedger::Writer {
 public:
  Writer(nats::Connection& connection, LedgerOptions options)
      : connection_(connection),
        options_(options),
        jetstream_(connection, options.answer_timeout),
        desk_(std::make_shared<Desk>()) {}
  ~Writer() { Stop(); }

  void Start() {
    if (!thread_.joinable()) thread_ = std::jthread([this](std::stop_token stop) { Run(stop); });
  }
  void Stop() { thread_ = {}; }  // Stops and joins.

  void Record(const LedgerEntry& entry) {
    {
      const std::lock_guard lock(desk_->mutex);
      if (desk_->waiting.size() >= options_.waiting_max) {
        desk_->waiting.pop_front();
        desk_->Drop("the ledger does not keep up");
      }
      desk_->waiting.push_back(entry);
    }
    desk_->changed.notify_one();
  }
  std::uint64_t stored() const {
    const std::lock_guard lock(desk_->mutex);
    return desk_->stored;
  }
  std::uint64_t dropped() const {
    const std::lock_guard lock(desk_->mutex);
    return desk_->dropped;
  }

 private:
  // Shared with the answers that are still to come, which may outlive the writer.
  struct Desk {
    // Precondition: mutex is held.
    void Drop(std::string why) {
      ++dropped;
      why_dropped = std::move(why);
    }

    std::mutex mutex;
    std::condition_variable_any changed;
    std::deque<LedgerEntry> waiting;
    int unanswered = 0;
    bool stream_ready = false;
    std::uint64_t stored = 0;
    std::uint64_t dropped = 0;
    std::string why_dropped;
  };

  void Run(const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      TellOfDrops();
      if (!connection_.Connected() || !(StreamReady() || MayWrite())) {
        Sleep(stop, kConnectionPoll);
      } else if (!StreamReady()) {
        SetUp(stop);
      } else if (auto entry = Next(stop)) {
        Send(*entry);
      }
    }
    SendTheRest();
    TellOfDrops();
  }

  bool StreamReady() const {
    const std::lock_guard lock(desk_->mutex);
    return desk_->stream_ready;
  }

  void SetUp(const std::stop_token& stop) {
    const auto ready = EnsureStream(jetstream_, options_);
    if (ready) {
      failures_ = 0;
      const std::lock_guard lock(desk_->mutex);
      desk_->stream_ready = true;
      return;
    }
    if (failures_ == 0) log::Warning("ledger", "not_written", {{"error", ready.error().message}});
    failures_ = std::min(failures_ + 1, kRetryWaitGrowthMax);
    Sleep(stop, options_.retry_wait * failures_);
  }

  void Sleep(const std::stop_token& stop, milliseconds duration) {
    std::unique_lock lock(desk_->mutex);
    desk_->changed.wait_for(lock, stop, duration, [] { return false; });
  }

  // Nothing on stop, without the stream, or after a while, so that the connection is looked at.
  std::optional<LedgerEntry> Next(const std::stop_token& stop) {
    std::unique_lock lock(desk_->mutex);
    desk_->changed.wait_for(lock, stop, kConnectionPoll,
                            [this] { return !desk_->stream_ready || MaySend(); });
    if (!desk_->stream_ready || !MaySend() || stop.stop_requested()) return std::nullopt;
    LedgerEntry entry = std::move(desk_->waiting.front());
    desk_->waiting.pop_front();
    ++desk_->unanswered;
    return entry;
  }

  // Precondition: the desk's mutex is held.
  bool MaySend() const {
    return !desk_->waiting.empty() && desk_->unanswered < options_.unanswered_max;
  }

  bool MayWrite() const {
    return options_.leadership == nullptr || options_.leadership->Current().has_value();
  }
  // Another operator may have decided since.
  bool IsOver(const LedgerEntry& entry) const {
    if (options_.leadership == nullptr) return false;
    const std::optional<Lead> lead = options_.leadership->Current();
    return !lead || lead->epoch != entry.epoch;
  }

  void Send(const LedgerEntry& entry) {
    if (IsOver(entry)) {
      const std::lock_guard lock(desk_->mutex);
      --desk_->unanswered;
      return desk_->Drop("this operator does not lead any more");
    }
    connection_.RequestAsync(LedgerSubject(entry.key), WriteLedgerEntry(entry), {},
                             options_.answer_timeout,
                             [desk = desk_](const Result<nats::Message>& answer) {
                               Answered(*desk, answer);
                               desk->changed.notify_one();
                             });
  }

  static void Answered(Desk& desk, const Result<nats::Message>& answer) {
    const std::lock_guard lock(desk.mutex);
    --desk.unanswered;
    if (!answer) return desk.Drop(answer.error().message);
    const auto ack = nats::ParsePubAck(*answer);
    if (ack) {
      ++desk.stored;
    } else {
      if (ack.error().cause == ApiCause::kStreamMissing) desk.stream_ready = false;
      desk.Drop(ack.error().error.message);
    }
  }

  void SendTheRest() {
    std::deque<LedgerEntry> rest;
    {
      const std::lock_guard lock(desk_->mutex);
      rest = std::exchange(desk_->waiting, {});
      if (!desk_->stream_ready || !connection_.Connected()) {
        for (std::size_t n = 0; n < rest.size(); ++n) desk_->Drop("the operator ended");
        return;
      }
    }
    for (const LedgerEntry& entry : rest) {
      if (IsOver(entry)) {
        const std::lock_guard lock(desk_->mutex);
        desk_->Drop("this operator does not lead any more");
        continue;
      }
      const auto sent = connection_.Publish(LedgerSubject(entry.key), WriteLedgerEntry(entry));
      const std::lock_guard lock(desk_->mutex);
      if (sent) {
        ++desk_->stored;
      } else {
        desk_->Drop(sent.error().message);
      }
    }
  }

  void TellOfDrops() {
    const auto now = std::chrono::steady_clock::now();
    std::unique_lock lock(desk_->mutex);
    if (desk_->dropped == told_dropped_ || now < tell_after_) return;
    const std::uint64_t dropped = std::exchange(told_dropped_, desk_->dropped);
    const std::string why = desk_->why_dropped;
    lock.unlock();
    tell_after_ = now + kTellOfDropsEvery;
    log::Warning("ledger", "entries_dropped", {{"entries", told_dropped_ - dropped}, {"why", why}});
  }

  nats::Connection& connection_;
  const LedgerOptions options_;
  const nats::JetStream jetstream_;
  const std::shared_ptr<Desk> desk_;
  // Of the thread only.
  int failures_ = 0;
  std::uint64_t told_dropped_ = 0;
  std::chrono::steady_clock::time_point tell_after_{};

  std::jthread thread_;
};

JetStreamLedger::JetStreamLedger(nats::Connection& connection, LedgerOptions options)
    : writer_(std::make_unique<Writer>(connection, options)) {}

JetStreamLedger::~JetStreamLedger() = default;

void JetStreamLedger::Start() { writer_->Start(); }
void JetStreamLedger::Stop() { writer_->Stop(); }
void JetStreamLedger::Record(const LedgerEntry& entry) { writer_->Record(entry); }
std::uint64_t JetStreamLedger::stored() const { return writer_->stored(); }
std::uint64_t JetStreamLedger::dropped() const { return writer_->dropped(); }

}  // namespace lanekeeper
