// The probe thread of JetStreamLaneProbe. Private to this room.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "operator/jetstream/jetstream_lane_probe.h"
#include "operator/jetstream/lane_facts.h"
#include "operator/jetstream/probe_mailbox.h"
#include "worker-runtime/job/worker_roster.h"
#include "worker-runtime/nats/jetstream_answers.h"

namespace lanekeeper {

class JetStreamLaneProbe::Loop {
 public:
  Loop(nats::Connection& connection, const Clock& clock, LaneProbeOptions options)
      : connection_(connection), clock_(clock), options_(options) {}
  ~Loop() { Stop(); }

  void Start(std::function<void(const LaneKey&)> on_change);
  void Stop();
  void Post(ProbeMail mail) { mailbox_.Post(std::move(mail)); }
  LaneSample Latest(const LaneKey& key) const;
  std::vector<ReportedWorker> Workers(const LaneKey& key) const;
  ServiceCounts Served(const LaneKey& key) const;
  void Tell(const LaneKey& key, const std::string& worker, std::string_view request);
  LaneProbeStats stats() const;

 private:
  // What any thread may look at; under latest_mutex_.
  struct LaneView {
    LaneSample sample;
    std::unique_ptr<WorkerRoster> roster;  // Since the first report: most lanes rest.
    MonotonicTime added_at{};
  };
  struct LaneState {
    ProbedLane lane;
    bool own_subject =
        false;  // The stream of the queue contract: tapped, and asked for its oldest.
    LaneSample sample;
    LaneView* view = nullptr;  // In latest_, as long as this exists.
    MonotonicTime due{};
    MonotonicTime answered_at{};  // Last answer that said something, or since when to expect one.
    std::uint64_t asked = 0;      // The token of the open request; 0 = none.
    bool ask_again = false;       // A hint came meanwhile.
    bool look_again = false;      // After a hint and a zero: the job may be a hair behind.
    std::string denied;           // What the server said when it refused the last request.

    std::uint64_t delivered_sequence = 0;
    PassingJobs passing;
    std::optional<nats::ConsumerState> counted;  // Up to where arrivals are counted.
    std::uint64_t oldest_for_sequence = 0;  // delivered_sequence when the oldest was asked for.
    std::optional<WallTime> oldest_stored_at;
    bool oldest_asked = false;
    MonotonicTime oldest_asked_at{};

    std::unique_ptr<nats::Registration> tap;
    MonotonicTime tap_after{};
  };
  struct PoolState {
    int lanes = 0;
    std::uint64_t asked = 0;
    MonotonicTime due{};
  };
  enum class Question { kConsumer, kOldest, kDead };
  struct Asked {
    Question question = Question::kConsumer;
    LaneKey key;  // kDead: without the lane.
    MonotonicTime at{};
  };

  void Subscribe();
  void Run(std::stop_token stop);
  void Handle(AddLane&& mail);
  void Handle(RemoveLane&& mail);
  void Handle(ProbeAnswer&& mail);
  void Handle(LaneHint&& mail);
  void Handle(HeardReport&& mail);
  void Handle(nats::ConnectionChange&& mail);

  void WatchConnection();
  void AskDueLanes();
  void AskDuePools();
  void GiveUpOnAnswers();
  void ExpireWorkers();
  std::chrono::nanoseconds Pause() const;

  bool Ask(Question question, const LaneKey& key, const std::string& api, std::string_view body,
           std::uint64_t* token);
  void AskLane(LaneState& lane);
  void AskOldest(LaneState& lane);
  void OnConsumer(LaneState& lane, const nats::Message& answer);
  void OnOldest(LaneState& lane, const nats::Message& answer);
  void OnDead(const PoolKey& key, const nats::Message& answer);
  void DoubtSilence(LaneState& lane);
  void SetDoubt(LaneState& lane, scaling::Doubt doubt, std::string detail);
  void SetDue(LaneState& lane, MonotonicTime due);
  void Tap(LaneState& lane);
  void Untap(LaneState& lane);
  void ExpireWorkers(LaneState& lane, MonotonicTime now);
  void Publish(LaneState& lane);
  LaneState* Find(const LaneKey& key);

  nats::Connection& connection_;
  const Clock& clock_;
  const LaneProbeOptions options_;
  std::function<void(const LaneKey&)> on_change_;
  ProbeMailbox mailbox_;
  std::string inbox_;
  std::vector<std::unique_ptr<nats::Registration>> subscriptions_;

  // Of the probe thread only.
  std::map<LaneKey, LaneState> lanes_;
  std::set<std::pair<MonotonicTime, LaneState*>> due_;
  std::map<PoolKey, PoolState> pools_;
  std::map<std::uint64_t, Asked> asked_;  // By token, that is by age.
  std::uint64_t last_token_ = 0;
  bool connected_ = false;
  std::uint64_t epoch_ = 0;
  MonotonicTime disconnected_at_{};
  bool disconnect_told_ = false;
  double credit_ = 64;  // Regular requests that may go out now.
  MonotonicTime credit_at_{};
  MonotonicTime expired_at_{};
  bool taps_denied_ = false;
  int taps_ = 0;

  mutable std::mutex latest_mutex_;
  std::map<LaneKey, LaneView> latest_;  // Added to and removed from by the probe thread only.
  LaneProbeStats stats_;                // Under latest_mutex_ too.

  std::jthread thread_;
};

}  // namespace lanekeeper
