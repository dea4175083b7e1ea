#include "worker-runtime/nats/kv_watch.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <condition_variable>
#include <map>
#include <mutex>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "worker-runtime/base/log.h"
#include "worker-runtime/nats/jetstream.h"
#include "worker-runtime/nats/pull_consumer.h"

namespace lanekeeper::nats {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

constexpr milliseconds kAnswerTimeout{5000};
constexpr milliseconds kLook{200};  // So late it notices a reconnect, and its own end.
constexpr std::chrono::seconds kForgetAfter{
    30};  // The server removes a consumer nobody listens to.
constexpr const char* kOperation = "KV-Operation";           // DEL or PURGE: a deleted key.
constexpr const char* kMarkerReason = "Nats-Marker-Reason";  // Deleted by the server.

class OrderedKvWatch final : public KvWatch {
 public:
  OrderedKvWatch(Connection& connection, KvWatchOptions options,
                 std::function<void(const KvEntry&)> changed)
      : connection_(connection),
        options_(std::move(options)),
        stream_("KV_" + options_.bucket),
        prefix_("$KV." + options_.bucket + "."),
        changed_(std::move(changed)),
        thread_([this](const std::stop_token& stop) { Run(stop); }) {}

  bool Current() const override { return current_; }
  std::int64_t Starts() const override { return starts_; }

 private:
  // One consumer, from its creation to the first doubt.
  struct Reading {
    std::unique_ptr<Subscription> messages;
    std::string consumer;
    std::uint64_t epoch = 0;
    std::uint64_t consumer_sequence = 0;  // Of the last message.
    MonotonicTime heard{};
    bool at_end = false;         // What was there at the start has been told.
    std::set<std::string> seen;  // Until then.
  };
  struct Version {
    std::uint64_t revision = 0;
    WallTime written_at{};
    bool operator==(const Version&) const = default;
  };

  void Run(const std::stop_token& stop) {
    std::string said;
    while (!stop.stop_requested()) {
      auto reading = Begin();
      if (reading) {
        said.clear();
        const std::string why = Follow(*reading, stop);
        End(*reading);
        if (!why.empty()) {
          log::Info("nats", "watch_begins_again", {{"bucket", options_.bucket}, {"why", why}});
        }
        continue;
      }
      if (said != reading.error().message) {
        said = reading.error().message;
        log::Info("nats", "watch_waits", {{"bucket", options_.bucket}, {"why", said}});
      }
      Sleep(stop);
    }
  }

  void Sleep(const std::stop_token& stop) {
    std::unique_lock lock(mutex_);
    never_.wait_for(lock, stop, options_.retry, [] { return false; });
  }

  Result<Reading> Begin() {
    Reading reading;
    reading.epoch = connection_.Epoch();
    const std::string inbox = connection_.NewInbox();
    auto messages = connection_.Subscribe(inbox, /*capacity=*/1 << 20);
    if (!messages) return tl::unexpected(std::move(messages).error());
    reading.messages = *std::move(messages);
    reading.consumer = "lk_watch_" + inbox.substr(inbox.rfind('.') + 1);
    const json config = {{"name", reading.consumer},
                         {"deliver_subject", inbox},
                         {"deliver_policy", "last_per_subject"},
                         {"filter_subject", prefix_ + ">"},
                         {"ack_policy", "none"},
                         {"max_deliver", 1},
                         {"flow_control", true},
                         {"idle_heartbeat", std::chrono::nanoseconds(options_.heartbeat).count()},
                         {"inactive_threshold", std::chrono::nanoseconds(kForgetAfter).count()},
                         {"num_replicas", 1},
                         {"mem_storage", true}};
    const json request = {{"stream_name", stream_}, {"config", config}, {"action", "create"}};
    auto answer =
        JetStream(connection_, kAnswerTimeout)
            .Call("CONSUMER.CREATE." + stream_ + "." + reading.consumer + "." + prefix_ + ">",
                  request.dump());
    if (!answer) return tl::unexpected(std::move(answer).error().error);
    ++starts_;
    reading.heard = std::chrono::steady_clock::now();
    // Counted before the first delivery: what was delivered since is in it or behind it.
    const auto state = ParseConsumerState(*answer);
    if (state && state->pending == 0 && state->delivered_consumer_sequence == 0) {
      if (const std::string why = ReachEnd(reading); !why.empty()) {
        End(reading);
        return Fail(ErrorKind::kRetryable, why);
      }
    }
    return reading;
  }

  // Returns why it has to begin again; nothing when told to stop.
  std::string Follow(Reading& reading, const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      auto message = reading.messages->Next(kLook);
      if (connection_.Epoch() != reading.epoch) return "reconnected";
      if (reading.messages->Dropped() > 0) return "messages dropped";
      const MonotonicTime now = std::chrono::steady_clock::now();
      if (!message) {
        if (now - reading.heard > options_.heartbeat * 5 / 2) return "silence";
        continue;
      }
      reading.heard = now;
      if (message->status != 0) {
        if (std::string why = TakeStatus(reading, *message); !why.empty()) return why;
      } else if (std::string why = TakeEntry(reading, *std::move(message)); !why.empty()) {
        return why;
      }
    }
    return {};
  }

  // Heartbeats, and the server's question whether we keep up.
  std::string TakeStatus(const Reading& reading, const Message& message) {
    constexpr int kControl = 100;
    if (message.status != kControl) {
      return "status " + std::to_string(message.status) + " " + message.status_text;
    }
    const auto stalled = message.Header("Nats-Consumer-Stalled");
    const std::string answer_to = !message.reply.empty() ? message.reply
                                  : stalled              ? std::string(*stalled)
                                                         : std::string();
    if (!answer_to.empty()) static_cast<void>(connection_.Publish(answer_to, ""));
    const auto last = message.Header("Nats-Last-Consumer");
    if (!last) return {};
    std::uint64_t sequence = 0;
    std::from_chars(last->data(), last->data() + last->size(), sequence);
    return sequence == reading.consumer_sequence ? std::string() : "gap before a heartbeat";
  }

  std::string TakeEntry(Reading& reading, Message message) {
    auto delivery = ParseDelivery(std::move(message));
    if (!delivery || !delivery->message.subject.starts_with(prefix_)) return "a stranger's message";
    if (delivery->consumer_sequence != reading.consumer_sequence + 1) return "gap";
    reading.consumer_sequence = delivery->consumer_sequence;
    const Message& stored = delivery->message;
    KvEntry entry{.key = stored.subject.substr(prefix_.size()),
                  .revision = delivery->stream_sequence,
                  .written_at = delivery->stored_at,
                  .deleted = stored.Header(kOperation) || stored.Header(kMarkerReason)};
    if (!entry.deleted) entry.value = std::move(delivery->message.payload);
    if (!reading.at_end) reading.seen.insert(entry.key);
    Tell(entry);
    if (!reading.at_end && delivery->pending == 0) return ReachEnd(reading);
    return {};
  }

  void Tell(const KvEntry& entry) {
    const Version version{entry.revision, entry.written_at};
    const auto known = known_.find(entry.key);
    if (entry.deleted) {
      if (known == known_.end()) return;
      known_.erase(known);
    } else {
      if (known != known_.end() && known->second == version) return;
      known_[entry.key] = version;
    }
    changed_(entry);
  }

  // Returns why it has to begin again. What is pending is too little for a moment while a message
  // is replaced: a key that was not seen has gone only when the stream has nothing of it.
  std::string ReachEnd(Reading& reading) {
    const JetStream jetstream(connection_, kAnswerTimeout);
    std::vector<std::string> gone;
    for (const auto& [key, version] : known_) {
      if (reading.seen.contains(key)) continue;
      const auto last = jetstream.LastMessage(stream_, prefix_ + key);
      if (last) continue;  // It comes yet.
      if (last.error().cause != ApiCause::kMessageMissing) return "a key that may have gone";
      gone.push_back(key);
    }
    reading.at_end = true;
    for (std::string& key : gone) Tell({.key = std::move(key), .deleted = true});
    reading.seen.clear();
    current_ = true;
    return {};
  }

  // Sooner than the server finds out.
  void End(Reading& reading) {
    reading.messages.reset();
    if (!connection_.Connected()) return;
    static_cast<void>(
        connection_.Publish("$JS.API.CONSUMER.DELETE." + stream_ + "." + reading.consumer, ""));
  }

  Connection& connection_;
  const KvWatchOptions options_;
  const std::string stream_;
  const std::string prefix_;
  const std::function<void(const KvEntry&)> changed_;
  std::map<std::string, Version> known_;  // The thread's own.
  std::atomic<bool> current_{false};
  std::atomic<std::int64_t> starts_{0};
  std::mutex mutex_;
  std::condition_variable_any never_;
  std::jthread thread_;  // Last: it uses all of the above.
};

}  // namespace

std::unique_ptr<KvWatch> KvWatch::Start(Connection& connection, KvWatchOptions options,
                                        std::function<void(const KvEntry&)> changed) {
  return std::make_unique<OrderedKvWatch>(connection, std::move(options), std::move(changed));
}

}  // namespace lanekeeper::nats
