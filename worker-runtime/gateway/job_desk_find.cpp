#include "worker-runtime/gateway/job_desk_find.h"

#include <algorithm>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "worker-runtime/gateway/find_pool.h"
#include "worker-runtime/gateway/job_desk_list.h"
#include "worker-runtime/job/codec.h"

namespace lanekeeper::gateway {
namespace {

constexpr int kMovesMax = 16;  // As many lanes as a pool may have.
constexpr int kScanPagesMax = 40;
constexpr std::chrono::seconds kBusyRetry{1};

// One look. Its answers come one after the other, but for the records of several lanes.
class JobFinder : public std::enable_shared_from_this<JobFinder> {
 public:
  JobFinder(DeskCore& core, std::shared_ptr<const PoolBrief> pool, std::string id,
            FindOptions options, Then<Found> then)
      : core_(core),
        in_hand_(core.Begin()),
        pool_(std::move(pool)),
        id_(std::move(id)),
        options_(std::move(options)),
        then_(std::move(then)) {}

  void Start() {
    if (id_.empty() || id_.size() > kJobIdBytesMax) return Unknown();
    SetPlace();
    if (strange_) return Unknown();
    ReadRecords();
  }

 private:
  // A record, and the lane it is of.
  struct Seen {
    std::string lane;
    RecordSeen seen;
  };

  // Which lane and message the caller's hint, or else the id, speak of.
  void SetPlace() {
    if (!options_.lane.empty()) {
      lane_ = options_.lane;
      sequence_ = options_.sequence;
    }
    const auto place = PlaceOfJobId(id_);
    if (!place) return;
    const auto named = LaneOfStream(place->stream);
    for (const LaneBrief& lane : pool_->lanes) {
      if (lane.stream != place->stream) continue;
      if (lane_.empty()) lane_ = lane.name;
      if (lane_ == lane.name && sequence_ == 0) sequence_ = place->sequence;
      return;
    }
    if (!named) return;  // An id that only looks like that.
    strange_ = named->pool_namespace != pool_->pool_namespace || named->pool != pool_->pool;
    // A lane that the pool has no more: its records are still there.
    if (!strange_ && lane_.empty()) lane_ = named->lane;
  }

  void ReadRecords() {
    std::vector<std::string> lanes;
    if (!lane_.empty()) {
      lanes.push_back(lane_);
    } else {
      for (const LaneBrief& lane : pool_->lanes) lanes.push_back(lane.name);
    }
    {
      const std::lock_guard lock(mutex_);
      records_.clear();
      answers_missing_ = lanes.size();
    }
    for (const std::string& lane : lanes) {
      core_.queue.ReadRecord(KeyOf(lane), id_,
                             [self = shared_from_this(), lane](Answer<RecordSeen> seen) {
                               self->RecordRead(lane, std::move(seen));
                             });
    }
  }

  void RecordRead(const std::string& lane, Answer<RecordSeen> seen) {
    {
      const std::lock_guard lock(mutex_);
      if (seen) {
        records_.push_back({lane, *std::move(seen)});
      } else if (!problem_) {
        problem_ = std::move(seen).error();
      }
      if (--answers_missing_ > 0) return;
    }
    if (problem_) return Refused(*std::move(problem_));
    const auto newest = std::max_element(
        records_.begin(), records_.end(),
        [](const Seen& a, const Seen& b) { return RevisionOf(a) < RevisionOf(b); });
    if (newest == records_.end() || !newest->seen.record) return FindMessage();
    Judge(std::move(*newest));
  }

  static std::uint64_t RevisionOf(const Seen& seen) {
    return seen.seen.record ? seen.seen.revision : 0;
  }

  void Judge(Seen newest) {
    if (newest.seen.record->state != JobState::kMoved) return Tell(std::move(newest));
    // Follow it; a record that is older than the move is of an earlier life in that lane.
    if (++moves_ > kMovesMax) return Tell(std::move(newest));
    const std::string to = newest.seen.record->moved_to;
    core_.queue.ReadRecord(
        KeyOf(to), id_,
        [self = shared_from_this(), to, left = std::move(newest)](Answer<RecordSeen> seen) {
          if (!seen) return self->Refused(std::move(seen).error());
          if (seen->record && seen->revision > left.seen.revision) {
            return self->Judge({to, *std::move(seen)});
          }
          self->TellMoving(left, to, seen->revision);
        });
  }

  void Tell(Seen seen) {
    Found found{
        .view = ViewOfRecord(KeyOf(seen.lane), *std::move(seen.seen.record), seen.seen.revision),
        .lane = BriefOf(*pool_, seen.lane),
        .based_on = seen.seen.revision,
        .moved_from = {}};
    then_(std::move(found));
  }

  // It has left one lane, and the other one has not started it yet.
  void TellMoving(const Seen& left, const std::string& to, std::uint64_t based_on) {
    JobView view = ViewOfRecord(KeyOf(to), *left.seen.record, left.seen.revision);
    view.state = ViewState::kWaiting;
    view.sequence = 0;
    then_(Found{.view = std::move(view),
                .lane = BriefOf(*pool_, to),
                .based_on = based_on,
                .moved_from = left.lane + "." + std::to_string(left.seen.record->sequence)});
  }

  void FindMessage() {
    if (lane_.empty() || sequence_ == 0) return ScanLanes();
    const LaneBrief lane = BriefOf(*pool_, lane_);
    core_.queue.ReadMessage(
        lane.stream, sequence_,
        [self = shared_from_this(), lane](Answer<std::optional<nats::StoredMessage>> stored) {
          if (!stored) return self->Refused(std::move(stored).error());
          if (!*stored) return self->NotThere();
          const JobMessage message = HeadOnly(lane.stream, **stored);
          if (JobIdOf(message) != self->id_) return self->Unknown();
          self->Waiting(lane, message);
        });
  }

  // Started, and perhaps done, between the reading of its record and that of its message; a second
  // look at the record knows.
  void NotThere() {
    if (std::exchange(looked_again_, true)) return Unknown();
    ReadRecords();
  }

  void ScanLanes() {
    if (!options_.scan) return NotThere();
    const bool begun = core_.Later([self = shared_from_this()](bool stopped) {
      if (stopped) return self->Refused(Unavailable("reading a lane", {{}, "ending"}));
      self->Scan();
    });
    if (begun) return;
    Refused({.type = ProblemType::kTooManyRequests,
             .detail = "too many jobs are looked for at once by ids that do not say where they "
                       "are; try again",
             .retry_after = kBusyRetry});
  }

  // On the thread that may wait.
  void Scan() {
    int pages_left = kScanPagesMax;
    for (const LaneBrief& lane : pool_->lanes) {
      if (!lane_.empty() && lane.name != lane_) continue;
      std::optional<JobMessage> found;
      const auto visit = [&](const nats::StoredMessage& stored) {
        JobMessage message = HeadOnly(lane.stream, stored);
        if (JobIdOf(message) == id_) found = std::move(message);
        return !found;
      };
      auto read = VisitLane(core_, lane, {.started_too = lane.tracking != Tracking::kFull},
                            pages_left, visit);
      if (!read) return Refused(std::move(read).error());
      if (found) return Waiting(lane, *found);
    }
    NotThere();
  }

  // Its message is in the lane, and there is no record.
  void Waiting(const LaneBrief& lane, const JobMessage& message) {
    Found found{.view = ViewOfMessage(pool_->KeyOf(lane), message),
                .lane = lane,
                .based_on = records_.empty() ? 0 : BasedOn(lane.name),
                .moved_from = {}};
    if (!options_.position && lane.tracking == Tracking::kFull) return then_(std::move(found));
    core_.queue.ReadConsumer(lane.stream, lane.consumer,
                             [self = shared_from_this(), found = std::move(found)](
                                 Answer<std::optional<nats::ConsumerState>> consumer) mutable {
                               if (!consumer) return self->Refused(std::move(consumer).error());
                               if (*consumer) self->SetTurn(found, **consumer);
                               self->then_(std::move(found));
                             });
  }

  void SetTurn(Found& found, const nats::ConsumerState& consumer) const {
    if (found.lane.tracking != Tracking::kFull &&
        consumer.delivered_stream_sequence >= found.view.sequence) {
      found.view.state = ViewState::kRunning;
    } else if (options_.position) {
      SetPosition(found.view, consumer, core_.pools.PredictedWait(found.view.lane));
    }
  }

  std::uint64_t BasedOn(const std::string& lane) const {
    for (const Seen& seen : records_) {
      if (seen.lane == lane) return seen.seen.revision;
    }
    return 0;
  }

  LaneKey KeyOf(const std::string& lane) const {
    return {pool_->pool_namespace, pool_->pool, lane};
  }
  void Refused(Problem problem) { then_(tl::unexpected(std::move(problem))); }
  void Unknown() { Refused(NoSuchJob(pool_->pool_namespace, pool_->pool, id_)); }

  DeskCore& core_;
  const DeskCore::InHand in_hand_;
  const std::shared_ptr<const PoolBrief> pool_;
  const std::string id_;
  const FindOptions options_;
  const Then<Found> then_;

  std::string lane_;  // Empty: any.
  std::uint64_t sequence_ = 0;
  bool strange_ = false;  // The id is of another pool.
  bool looked_again_ = false;
  int moves_ = 0;

  std::mutex mutex_;  // Until the last of several records has been read.
  std::vector<Seen> records_;
  std::size_t answers_missing_ = 0;
  std::optional<Problem> problem_;
};

}  // namespace

LaneBrief BriefOf(const PoolBrief& pool, std::string_view lane) {
  if (const LaneBrief* known = pool.FindLane(lane)) return *known;
  return {.name = std::string(lane),
          .stream = JobStreamName({pool.pool_namespace, pool.pool, std::string(lane)}),
          .consumer = std::string(kConsumerName)};
}

void SetPosition(JobView& view, const nats::ConsumerState& consumer,
                 std::optional<std::chrono::milliseconds> predicted_wait) {
  const std::uint64_t delivered = consumer.delivered_stream_sequence;
  const std::int64_t distance =
      view.sequence > delivered + 1 ? static_cast<std::int64_t>(view.sequence - delivered - 1) : 0;
  // Messages that were removed leave holes.
  const std::int64_t others = std::max<std::int64_t>(consumer.pending - 1, 0);
  view.position = std::min(distance, others);
  if (!predicted_wait || consumer.paused) return;
  const double share = static_cast<double>(*view.position + 1) /
                       static_cast<double>(std::max<std::int64_t>(consumer.pending, 1));
  view.eta = std::chrono::ceil<std::chrono::seconds>(
      std::chrono::duration<double>(*predicted_wait) * std::min(share, 1.0));
}

JobView ViewOfMessage(const LaneKey& lane, const JobMessage& message) {
  JobView view{.id = JobIdOf(message),
               .lane = lane,
               .type = std::string(FindHeader(message.headers, kHeaderType).value_or("")),
               .state = ViewState::kWaiting,
               .sequence = message.sequence,
               .submitted_at = message.stored_at};
  return view;
}

void FindJob(DeskCore& core, std::string_view pool_namespace, std::string_view pool,
             std::string_view id, FindOptions options, Then<Found> then) {
  auto brief = FindPool(core.pools, pool_namespace, pool);
  if (!brief) return then(tl::unexpected(std::move(brief).error()));
  std::make_shared<JobFinder>(core, *std::move(brief), std::string(id), std::move(options),
                              std::move(then))
      ->Start();
}

}  // namespace lanekeeper::gateway
