#include "worker-runtime/gateway/gateway.h"

#include <algorithm>
#include <thread>
#include <utility>
#include <variant>

#include "worker-runtime/base/duration.h"
#include "worker-runtime/gateway/find_pool.h"
#include "worker-runtime/gateway/gateway_core.h"
#include "worker-runtime/gateway/routing.h"
#include "worker-runtime/job/message_size.h"
#include "worker-runtime/job/names.h"

namespace lanekeeper::gateway {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr milliseconds kStopMargin{2000};
constexpr milliseconds kStopLook{2};

std::int64_t BytesOf(const OutMessage& message) {
  return static_cast<std::int64_t>(HeaderBytes(message.headers) + message.payload.size());
}

std::string Again(seconds after) { return "Try again in " + FormatDuration(after) + "."; }

class NatsGateway final : public Gateway {
 public:
  explicit NatsGateway(std::shared_ptr<GatewayCore> core) : core_(std::move(core)) {
    core_->keys->Prepare([](const Result<void>&) {});  // Or before its first use.
    core_->Tick();
  }
  ~NatsGateway() override {
    core_->Stop(core_->options.publish_timeout + kStopMargin);
    core_->later->Stop();
    core_->waiting->Stop();
  }

  void Submit(const Caller& caller, std::string_view pool_namespace, std::string_view pool,
              Submission submission, Then<Accepted> then) override {
    core_->Submit(std::make_shared<HandedIn>(core_, caller, std::move(submission), std::move(then)),
                  pool_namespace, pool);
  }

  std::optional<LaneGauge> Gauge(const LaneKey& lane) override {
    const auto pool = core_->pools.Find(lane.pool_namespace, lane.pool);
    const LaneBrief* const brief = pool ? pool->FindLane(lane.lane) : nullptr;
    if (brief == nullptr) return std::nullopt;
    auto gauge = core_->LaneOf(*pool, *brief)->Gauge();
    if (gauge) gauge->predicted_wait = core_->pools.PredictedWait(lane);
    return gauge;
  }

  GatewayCounts Counts() const override {
    return {.in_hand = core_->in_hand,
            .published_again = core_->publisher->PublishedAgain(),
            .keys_completed = core_->keys_completed};
  }

 private:
  const std::shared_ptr<GatewayCore> core_;
};

}  // namespace

HandedIn::HandedIn(std::shared_ptr<GatewayCore> gateway, Caller from, Submission what,
                   Then<Accepted> answer)
    : core(std::move(gateway)),
      caller(std::move(from)),
      submission(std::move(what)),
      then(std::move(answer)) {
  ++core->in_hand;
}

void HandedIn::Answer(gateway::Answer<Accepted> answer) {
  if (counts_caller) {
    const bool here = answer && answer->lane == lane->key();
    lane->EndCaller(caller, here ? answer->sequence : 0);
  }
  if (!core->stopped) then(std::move(answer));
  then = nullptr;
  --core->in_hand;
}

GatewayCore::GatewayCore(nats::Connection& nats_connection, const PoolDirectory& pool_directory,
                         const TypeTimes* type_times, GatewayOptions gateway_options)
    : connection(nats_connection),
      pools(pool_directory),
      types(type_times),
      options(std::move(gateway_options)),
      keys(std::make_shared<KeyStore>(connection, options.key_kept, waiting)),
      gauges(connection, {.interval = options.gauge_interval, .idle = options.gauge_idle},
             waiting) {}

void GatewayCore::Submit(const std::shared_ptr<HandedIn>& job, std::string_view pool_namespace,
                         std::string_view pool) {
  if (in_hand > options.in_hand_max) {
    return job->Answer(Refuse(ProblemType::kTooManyRequests,
                              "This gateway has " + std::to_string(options.in_hand_max) +
                                  " jobs in hand. " + Again(seconds(1)),
                              seconds(1)));
  }
  job->deadline = steady_clock::now() + options.publish_timeout;
  auto found = FindPool(pools, pool_namespace, pool);
  if (!found) return job->Answer(tl::unexpected(std::move(found).error()));
  job->pool = *std::move(found);
  const bool learns = types != nullptr && job->pool->routing == Routing::kLearned &&
                      job->submission.lane.empty() && !job->submission.type.empty();
  const auto p95 = learns ? types->P95(pool_namespace, pool, job->submission.type) : std::nullopt;
  const auto route = DecideRoute(*job->pool, job->submission.lane, job->submission.type, p95);
  if (!route) return job->Answer(tl::unexpected(route.error()));
  job->brief = *route;
  // Its three parts become tokens of a subject.
  if (const auto named = CheckLaneKey(job->pool->KeyOf(*job->brief)); !named) {
    return job->Answer(Refuse(ProblemType::kLaneNotFound, named.error().message));
  }
  job->lane = LaneOf(*job->pool, *job->brief);
  job->lane->WhenReady(job->brief->admission.caller_depth_max > 0,
                       [this, job](const gateway::Answer<void>& ready) {
                         if (!ready) return job->Answer(tl::unexpected(ready.error()));
                         Admit(job);
                       });
}

std::shared_ptr<GaugedLane> GatewayCore::LaneOf(const PoolBrief& pool, const LaneBrief& lane) {
  auto gauged = gauges.LaneOf(pool.KeyOf(lane));
  gauged->Want(lane, steady_clock::now());
  return gauged;
}

LaneGauge GatewayCore::GaugeOf(const GaugedLane& lane) const {
  LaneGauge gauge = lane.Gauge().value_or(LaneGauge{});
  gauge.predicted_wait = pools.PredictedWait(lane.key());
  return gauge;
}

void GatewayCore::Admit(const std::shared_ptr<HandedIn>& job) {
  if (stopped) return job->Answer(Refuse(ProblemType::kQueueUnavailable, "stopping", seconds(1)));
  const std::string message_id = NewMessageId();
  OutMessage message = EncodeSubmission(job->submission, job->caller, message_id);
  if (const auto bytes = BytesOf(message); bytes > connection.MaxPayload()) {
    return job->Answer(Refuse(ProblemType::kPayloadTooLarge,
                              "The job has " + std::to_string(bytes) +
                                  " bytes with its headers, NATS takes " +
                                  std::to_string(connection.MaxPayload()) +
                                  ". Store the payload elsewhere and hand in where it is."));
  }
  const LaneBrief& brief = *job->brief;
  const bool counts_caller = brief.admission.caller_depth_max > 0;
  const LaneGauge gauge = GaugeOf(*job->lane);
  Admission admission =
      job->lane->Full()
          ? Admission(BusyWhenFull(brief, gauge))
          : DecideAdmission(brief, gauge,
                            counts_caller ? job->lane->CallerWaiting(job->caller) : 0);
  if (const auto* busy = std::get_if<Busy>(&admission)) {
    Problem problem = BusyProblem(job->lane->key(), brief, *busy);
    if (job->submission.idempotency_key.empty()) {
      return job->Answer(tl::unexpected(std::move(problem)));
    }
    return SubmitWithKey(job, std::move(problem));
  }
  job->admitted = std::get<Accept>(admission);
  if (counts_caller) {
    job->lane->BeginCaller(job->caller);
    job->counts_caller = true;
  }
  if (!job->submission.idempotency_key.empty()) return SubmitWithKey(job, std::nullopt);
  PublishUnkeyed(job, std::move(message), message_id);
}

void GatewayCore::PublishUnkeyed(const std::shared_ptr<HandedIn>& job, OutMessage message,
                                 const std::string& message_id) {
  job->submission.payload = {};  // The message has it.
  Publish(job->lane, *job->brief, std::move(message), job->deadline, PublishAgain::kUntilDeadline,
          [job, message_id](gateway::Answer<nats::PubAck> ack) {
            if (!ack) return job->Answer(tl::unexpected(std::move(ack).error()));
            job->Answer(Accepted{.id = JobIdFor(ack->stream, ack->sequence, message_id),
                                 .lane = job->lane->key(),
                                 .sequence = ack->sequence,
                                 .position = job->admitted.position,
                                 .eta = job->admitted.eta});
          });
}

void GatewayCore::Publish(const std::shared_ptr<GaugedLane>& lane, const LaneBrief& brief,
                          OutMessage message, MonotonicTime deadline, PublishAgain again,
                          Published then) {
  lane->NotePublishing();
  publisher->Publish(
      lane->Subject(), std::move(message), deadline, again,
      [self = shared_from_this(), lane, brief = &brief,
       then = std::move(then)](gateway::Answer<nats::PubAck> ack) {
        if (ack) {
          if (lane->TakeWake(steady_clock::now())) {
            static_cast<void>(self->connection.Publish(WakeSubject(lane->key()), ""));
          }
          return then(std::move(ack));
        }
        lane->NoteNotStored();
        if (ack.error().type == ProblemType::kLaneFull) {
          lane->NoteFull();
          ack = tl::unexpected(self->BusyProblem(
              lane->key(), *brief, BusyWhenFull(*brief, lane->Gauge().value_or(LaneGauge{}))));
        }
        then(std::move(ack));
      });
}

Problem GatewayCore::BusyProblem(const LaneKey& lane, const LaneBrief& brief,
                                 const Busy& busy) const {
  const std::string name = ToString(lane);
  switch (busy.cause) {
    case BusyCause::kWaitTooLong:
      return {ProblemType::kWaitTooLong,
              "A job handed in now would wait longer in lane " + name + " than its maxWait of " +
                  FormatDuration(brief.admission.wait_max.value_or(milliseconds(0))) + ". " +
                  Again(busy.retry_after),
              busy.retry_after};
    case BusyCause::kCallerQuota:
      return {ProblemType::kCallerQuota,
              "The caller has as many jobs waiting in lane " + name + " as its maxPerCaller of " +
                  std::to_string(brief.admission.caller_depth_max) + " allows. " +
                  Again(busy.retry_after),
              busy.retry_after};
    case BusyCause::kLaneFull:
      break;
  }
  const std::string limit = brief.external ? "as many jobs as its stream takes"
                                           : "as many jobs as its maxDepth of " +
                                                 std::to_string(brief.depth_max) + " allows";
  return {ProblemType::kLaneFull,
          "Lane " + name + " holds " + limit + ". " + Again(busy.retry_after), busy.retry_after};
}

void GatewayCore::Tick() {
  if (stopped) return;
  gauges.Look(steady_clock::now(), [this](const LaneKey& key) {
    const auto pool = pools.Find(key.pool_namespace, key.pool);
    return pool && pool->FindLane(key.lane) != nullptr;
  });
  later->In(options.gauge_interval, [self = shared_from_this()] { self->Tick(); });
}

bool GatewayCore::Stop(milliseconds timeout) {
  const MonotonicTime deadline = steady_clock::now() + timeout;
  while (in_hand > 0 && steady_clock::now() < deadline) std::this_thread::sleep_for(kStopLook);
  stopped = true;
  return in_hand == 0;
}

std::unique_ptr<Gateway> Gateway::Start(nats::Connection& connection, const PoolDirectory& pools,
                                        const TypeTimes* types, GatewayOptions options) {
  return std::make_unique<NatsGateway>(
      std::make_shared<GatewayCore>(connection, pools, types, std::move(options)));
}

}  // namespace lanekeeper::gateway
