#include "e2e/chaos/cluster_stage.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <limits>
#include <set>
#include <stdexcept>
#include <utility>

#include "e2e/bench/lane_bench.h"
#include "e2e/chaos/verify_lane.h"
#include "operator/jetstream/jetstream_ledger.h"
#include "operator/kubernetes/requests.h"
#include "operator/kubernetes/worker_pool_json.h"
#include "worker-runtime/base/stoppable_sleep.h"
#include "worker-runtime/job/rfc3339.h"
#include "worker-runtime/nats/job_record_json.h"

namespace lanekeeper::e2e {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr const char* kNamespace = "cluster";
constexpr const char* kPool = "media";
constexpr const char* kSystemUser = "system:system";
constexpr int kReplicas = 3;
constexpr milliseconds kLook{10};
constexpr seconds kPatience{120};
constexpr seconds kWaveLasts{8};
constexpr seconds kWaveRest{22};

struct LaneShape {
  const char* name;
  int slots;
  const char* work_time;
  int jobs_per_worker;
  int clients;
  milliseconds pause;  // Of each client, between two submits of about two jobs.
};
constexpr std::array<LaneShape, 2> kLanes{{
    {kSteady, 2, "50ms", 10, 3, milliseconds(150)},
    {kWaves, 1, "300ms", 8, 2, milliseconds(400)},
}};

std::string ResultsSubject(const std::string& lane) { return "results." + lane; }
std::string ResultsStream(const std::string& lane) { return "RESULTS_" + lane; }

json Parsed(std::string_view text) { return json::parse(text, nullptr, false); }

nats::NatsCluster MustRunCluster() {
  return Must(
      nats::NatsCluster::Run("accounts: {$SYS: {users: [{user: system, password: system}]}}"),
      "three nodes of nats-server");
}

std::unique_ptr<nats::Connection> Connect(const std::string& url) {
  auto connection = Must(nats::Connection::Open({.url = url, .name = "chaos"}), "connection");
  if (!connection->WaitConnected(kPatience)) throw std::runtime_error("no connection to " + url);
  return connection;
}

std::string SystemUrl(nats::NatsCluster& cluster) {
  std::string urls;
  for (int n = 0; n < nats::NatsCluster::kNodes; ++n) {
    urls += (n == 0 ? "" : ",") + cluster.node(n).url(kSystemUser);
  }
  return urls;
}

// Empty: it has a leader, and all others are there and up to date.
std::string WhyNotHealthy(const nats::JetStream& jetstream, const std::string& api,
                          const std::string& what) {
  const auto answer = jetstream.Call(api, "");
  if (!answer) return what + ": " + answer.error().error.message;
  const json info = Parsed(answer->payload);
  if (info.value(json::json_pointer("/cluster/leader"), "").empty()) return what + ": no leader";
  const json replicas = info.value(json::json_pointer("/cluster/replicas"), json::array());
  for (const json& replica : replicas) {
    if (!replica.value("current", false) || replica.value("offline", false)) {
      return what + ": " + replica.value("name", "") + " is behind";
    }
  }
  return {};
}

}  // namespace

ClusterStage::ClusterStage(std::filesystem::path folder)
    : folder_(std::move(folder)),
      nats_(MustRunCluster()),
      server_(folder_),
      api_(Must(kubernetes::ApiClient::Create(server_.ConfigWithToken()), "API client")),
      connection_(Connect(nats_.url())),
      system_connection_(Connect(SystemUrl(nats_))),
      jetstream_(*connection_, seconds(2)),
      system_(*system_connection_, seconds(2)) {
  MakeStreams();
  MakePool();
  witness_ = std::make_unique<ReplicaWitness>(*api_, kNamespace);
  OperatorPairOptions options{
      .folder = folder_, .nats_url = nats_.url(), .pool_namespace = kNamespace};
  options.kubeconfigs.fill(server_.kubeconfig());
  operators_.emplace(*api_, options);
  gateways_.emplace(nats_.url(), folder_);
  kubelet_ = std::make_unique<ClusterKubelet>(
      *api_, *witness_, *connection_,
      ClusterKubeletOptions{
          .pool = ReadPool(),
          .nats_url = nats_.url(),
          .folder = folder_,
          .programs_folder = std::filesystem::path(ProgramBesideThis("x")).parent_path().string()});
  for (const std::string& url : gateways_->urls()) {
    clients_.push_back(
        Must(Client::Create(
                 {.url = url, .timeout = seconds(10), .try_timeout = seconds(10), .retries = 0}),
             "client"));
  }
  for (std::size_t n = 0; n < GatewayPair::kGateways; ++n) {
    if (!gateways_->AwaitReady(n)) throw std::runtime_error("a gateway does not become ready");
  }
  WaitFor("the pool to be set up", [&] { return QueueReachable() == "Sampled"; });
  for (const LaneShape& lane : kLanes) {
    submitters_[lane.name] =
        std::make_unique<GatewaySubmitters>(GatewaySubmitterOptions{.urls = gateways_->urls(),
                                                                    .pool = {kNamespace, kPool},
                                                                    .lane = lane.name,
                                                                    .clients = lane.clients,
                                                                    .pause = lane.pause});
  }
  waves_ = std::jthread([this](const std::stop_token& stop) { MakeWaves(stop); });
}

ClusterStage::~ClusterStage() {
  waves_ = {};
  submitters_.clear();
}

LaneKey ClusterStage::Key(const std::string& lane) { return {kNamespace, kPool, lane}; }

void ClusterStage::MakeStreams() {
  for (const LaneShape& lane : kLanes) {
    Must(jetstream_.CreateStream(ResultsStream(lane.name),
                                 json{{"name", ResultsStream(lane.name)},
                                      {"subjects", {ResultsSubject(lane.name)}},
                                      {"num_replicas", kReplicas}}
                                     .dump()),
         "stream of results");
  }
}

void ClusterStage::MakePool() {
  ApplyCrd(*api_);
  CreateNamespace(*api_, kNamespace);
  json lanes = json::array();
  for (const LaneShape& lane : kLanes) {
    const json worker = {
        {"name", "worker"},
        {"image", "worker:1"},
        {"command", {"lanekeeper-chaos-gateway-worker"}},
        {"env", json::array({{{"name", "RESULTS_SUBJECT"}, {"value", ResultsSubject(lane.name)}},
                             {{"name", "WORK_TIME"}, {"value", lane.work_time}}})}};
    lanes.push_back(
        {{"name", lane.name},
         {"template", {{"spec", {{"containers", json::array({worker})}}}}},
         {"queue", {{"replicas", kReplicas}}},
         {"jobs", {{"tracking", "Full"}}},
         {"workers", {{"min", 0}, {"max", 4}, {"slots", lane.slots}}},
         {"scaling", {{"jobsPerWorker", lane.jobs_per_worker}, {"scaleDownWindow", "5s"}}}});
  }
  const json pool = {{"apiVersion", kubernetes::kWorkerPools.api_version},
                     {"kind", kubernetes::kWorkerPools.kind},
                     {"metadata", {{"name", kPool}}},
                     {"spec", {{"lanes", lanes}}}};
  const auto end = steady_clock::now() + kPatience;
  while (true) {  // The resource is served a moment after it is defined.
    const auto made =
        api_->Call(kubernetes::CreateRequest(kubernetes::kWorkerPools, kNamespace, pool.dump()));
    if (made) return;
    if (steady_clock::now() > end) {
      throw std::runtime_error("making the pool: " + made.error().message);
    }
    std::this_thread::sleep_for(milliseconds(100));
  }
}

WorkerPool ClusterStage::ReadPool() {
  const auto answer =
      Must(api_->Call(kubernetes::GetRequest(kubernetes::kWorkerPools, {kNamespace, kPool})),
           "reading the pool");
  return Must(kubernetes::ParseWorkerPool(answer.body), "pool");
}

std::vector<std::string> ClusterStage::Streams() {
  const auto answer = jetstream_.Call("STREAM.NAMES", "");
  if (!answer) return {};
  return Parsed(answer->payload).value("streams", std::vector<std::string>{});
}

std::vector<std::string> ClusterStage::ConsumersOf(const std::string& stream) {
  const auto answer = jetstream_.Call("CONSUMER.NAMES." + stream, "");
  if (!answer) return {};
  const json names = Parsed(answer->payload).value("consumers", json());
  return names.is_array() ? names.get<std::vector<std::string>>() : std::vector<std::string>{};
}

std::string ClusterStage::WhyNotHealthy() {
  const std::vector<std::string> streams = Streams();
  if (streams.empty()) return "no answer about streams";
  for (const std::string& stream : streams) {
    std::string why = e2e::WhyNotHealthy(jetstream_, "STREAM.INFO." + stream, stream);
    if (!why.empty()) return why;
  }
  for (const LaneShape& lane : kLanes) {
    const std::string name = JobStreamName(Key(lane.name)) + "." + std::string(kConsumerName);
    std::string why = e2e::WhyNotHealthy(jetstream_, "CONSUMER.INFO." + name, name);
    if (!why.empty()) return why;
  }
  return {};
}

void ClusterStage::AwaitHealthy() {
  std::string why;
  const auto end = steady_clock::now() + kPatience;
  while (!(why = WhyNotHealthy()).empty()) {
    if (steady_clock::now() > end) throw std::runtime_error("the cluster is not healthy: " + why);
    std::this_thread::sleep_for(milliseconds(100));
  }
}

nats::NatsServer& ClusterStage::NodeNamed(const std::string& name) {
  nats::NatsServer* node = nats_.node(name);
  if (node == nullptr) throw std::runtime_error("no node " + name);
  return *node;
}

nats::NatsServer& ClusterStage::StreamLeaderNode(const std::string& lane) {
  std::string leader;
  WaitFor("the stream's leader", [&] {
    leader = nats::StreamLeader(jetstream_, JobStreamName(Key(lane))).value_or("");
    return !leader.empty();
  });
  return NodeNamed(leader);
}

nats::NatsServer& ClusterStage::ConsumerLeaderNode(const std::string& lane) {
  std::string leader;
  WaitFor("the consumer's leader", [&] {
    leader = nats::ConsumerLeader(jetstream_, JobStreamName(Key(lane)), kConsumerName).value_or("");
    return !leader.empty();
  });
  return NodeNamed(leader);
}

int ClusterStage::StepAllDown() {
  int agreed = system_.Call("META.LEADER.STEPDOWN", "").has_value() ? 1 : 0;
  for (const std::string& stream : Streams()) {
    agreed += nats::StepDownStream(jetstream_, stream).has_value() ? 1 : 0;
    // A gateway's watch has a consumer of one replica: it has nobody to hand over to.
    for (const std::string& consumer : ConsumersOf(stream)) {
      if (consumer != kConsumerName) continue;
      agreed += nats::StepDownConsumer(jetstream_, stream, consumer).has_value() ? 1 : 0;
    }
  }
  return agreed;
}

ClientResult<SubmittedJob> ClusterStage::SubmitProbe(std::size_t gateway, const std::string& key) {
  const SteadyTime asked = steady_clock::now();
  auto job = clients_.at(gateway)->Submit(
      {kNamespace, kPool}, {.type = key, .payload = key, .lane = kSteady, .idempotency_key = key});
  const SteadyTime now = steady_clock::now();
  if (job) probe_answers_.push_back({.submit = key, .id = job->id, .at = now});
  if (now - asked > seconds(1)) {
    const std::chrono::duration<double> took = now - asked;
    Say("  gateway " + std::to_string(gateway) + " took " + std::to_string(took.count()) +
        " s: " + (job ? "202" : job.error().message));
  }
  return job;
}

Recovery ClusterStage::Recover(SteadyTime since) {
  const auto passed = [since] {
    return std::chrono::duration<double, std::milli>(steady_clock::now() - since).count();
  };
  const auto end = steady_clock::now() + kPatience;
  Recovery recovery{.accepted_ms = NAN, .done_ms = NAN, .sampled_ms = NAN};
  std::jthread samples([&] {
    while (steady_clock::now() < end) {
      for (std::size_t n = 0; n < kOperators; ++n) {
        const double asked_ms = passed();
        const bool fresh = operators_->Metric(n, "lanekeeper_leader") == 1 &&
                           operators_->Metric(n, "lanekeeper_lanes_answered") == kLanes.size() &&
                           operators_->Metric(n, "lanekeeper_sample_age_seconds") * 1000 < asked_ms;
        if (!fresh) continue;
        recovery.sampled_ms = passed();
        return;
      }
      std::this_thread::sleep_for(milliseconds(20));
    }
  });
  const std::string key = "probe-" + std::to_string(++probes_);
  std::string id;
  for (std::size_t n = 0; id.empty() && steady_clock::now() < end; ++n) {
    const auto job = SubmitProbe(n % clients_.size(), key);
    if (job) id = job->id;
    if (!job) std::this_thread::sleep_for(kLook);
  }
  if (id.empty()) return recovery;
  recovery.accepted_ms = passed();
  for (std::size_t n = 0; steady_clock::now() < end; ++n) {
    const auto status = clients_.at(n % clients_.size())->Get(id);
    if (status && status->state == "done") {
      recovery.done_ms = passed();
      break;
    }
    std::this_thread::sleep_for(kLook);
  }
  samples.join();
  return recovery;
}

std::optional<Refusal> ClusterStage::TryOnce(std::size_t gateway) {
  const auto job = SubmitProbe(gateway, "probe-" + std::to_string(++probes_));
  if (job) return std::nullopt;
  return Refusal{.status = job.error().status, .says_when = job.error().retry_after.has_value()};
}

std::string ClusterStage::QueueReachable() {
  const auto answer =
      api_->Call(kubernetes::GetRequest(kubernetes::kWorkerPools, {kNamespace, kPool}));
  const json pool = answer ? Parsed(answer->body) : json();
  if (!pool.is_object()) return "";
  for (const json& condition :
       pool.value(json::json_pointer("/status/conditions"), json::array())) {
    if (condition.value("type", "") == "QueueReachable") return condition.value("reason", "");
  }
  return "";
}

void ClusterStage::MakeWaves(const std::stop_token& stop) {
  for (bool rests = false; !stop.stop_requested(); rests = !rests) {
    submitters_.at(kWaves)->Rest(rests);
    SleepUnlessStopped(rests ? kWaveRest : kWaveLasts, stop);
  }
}

std::int64_t ClusterStage::Left(const std::string& lane) {
  const auto state = jetstream_.StreamInfo(JobStreamName(Key(lane)));
  return state ? state->messages : std::numeric_limits<std::int64_t>::max();
}

std::int64_t ClusterStage::Passed(const std::string& lane) {
  // In this order a job that comes or goes meanwhile is not counted.
  const auto stream = jetstream_.StreamInfo(JobStreamName(Key(lane)));
  const auto consumer = jetstream_.ConsumerInfo(JobStreamName(Key(lane)), kConsumerName);
  if (!stream || !consumer) return -1;
  return std::max<std::int64_t>(0, stream->messages - consumer->pending - consumer->ack_pending);
}

void ClusterStage::Drain() {
  waves_ = {};
  for (auto& [lane, submitters] : submitters_) submitters->Finish();
  Say("no more jobs; the lanes are drained");
  for (const LaneShape& lane : kLanes) {
    // As long as it gets emptier: a lost delivery comes again after half a minute.
    std::int64_t least = std::numeric_limits<std::int64_t>::max();
    auto give_up_at = steady_clock::now() + kPatience;
    while (least > 0) {
      const std::int64_t left = Left(lane.name);
      if (left < least) {
        least = left;
        give_up_at = steady_clock::now() + kPatience;
      }
      if (steady_clock::now() > give_up_at) {
        throw std::runtime_error(std::to_string(left) + " jobs are left in " + lane.name);
      }
      std::this_thread::sleep_for(milliseconds(50));
    }
  }
  WaitFor("the last worker to end", [&] { return kubelet_->Alive() == 0; });
  Say("all jobs are settled, no worker is left");
}

std::vector<GatewayAnswer> ClusterStage::Answers(const std::string& lane) const {
  std::vector<GatewayAnswer> answers = submitters_.at(lane)->Evidence().answers;
  if (lane == kSteady) answers.insert(answers.end(), probe_answers_.begin(), probe_answers_.end());
  return answers;
}

SubmitCounts ClusterStage::Counts() const {
  SubmitCounts sum;
  for (const auto& [lane, submitters] : submitters_) {
    const SubmitCounts one = submitters->Counts();
    sum.answered += one.answered;
    sum.failed += one.failed;
    sum.refused += one.refused;
    if (!one.refusal.empty()) sum.refusal = one.refusal;
  }
  return sum;
}

std::vector<ClusterRun> ClusterStage::Runs(const std::string& lane) {
  const std::string stream = ResultsStream(lane);
  const auto state = Must(jetstream_.StreamInfo(stream), stream);
  const WallTime wall = std::chrono::system_clock::now();
  const SteadyTime steady = steady_clock::now();
  std::vector<ClusterRun> runs;
  for (std::uint64_t n = 1; n <= state.last_sequence; ++n) {
    const json run = Parsed(Must(jetstream_.GetMessage(stream, n), "a run").payload);
    const auto started = ParseRfc3339(run.value("started", ""));
    if (!started) throw std::runtime_error("a run without its time");
    runs.push_back(
        {.job = {.submit = run.value("type", ""), .id = run.value("id", "")},
         .at = steady - std::chrono::duration_cast<SteadyTime::duration>(wall - *started)});
  }
  return runs;
}

GatewayVerdict ClusterStage::OfGateways(const std::string& lane) {
  GatewayEvidence evidence = submitters_.at(lane)->Evidence();
  evidence.answers = Answers(lane);
  if (lane == kSteady) {
    for (const GatewayAnswer& answer : probe_answers_) evidence.keyed.insert(answer.submit);
  }
  for (const ClusterRun& run : Runs(lane)) evidence.jobs.push_back(run.job);
  return DecideGatewayVerdict(evidence);
}

std::vector<JobSpan> ClusterStage::Jobs(const std::string& lane) {
  return JobSpans(Answers(lane), Runs(lane));
}

nlohmann::ordered_json ClusterStage::Verify(const std::string& lane) {
  std::vector<std::string> accepted;
  for (const GatewayAnswer& answer : Answers(lane)) accepted.push_back(answer.id);
  const std::filesystem::path folder = folder_ / ("verify-" + lane);
  std::filesystem::create_directories(folder);
  return VerifyLane(nats_.url(), Key(lane), ResultsStream(lane), accepted, folder);
}

std::vector<std::string> ClusterStage::WithoutResult(const std::string& lane) {
  std::set<std::string> ids;
  for (const GatewayAnswer& answer : Answers(lane)) ids.insert(answer.id);
  std::vector<std::string> without;
  for (const std::string& id : ids) {
    const auto stored = jetstream_.LastMessage(kRecordStream, RecordSubject(Key(lane), id));
    const auto record = stored ? nats::ReadJobRecord(stored->payload) : JobRecord{};
    if (!record || record->result.empty()) without.push_back(id);
  }
  return without;
}

std::vector<ReplicaChange> ClusterStage::Changes(const std::string& lane) const {
  return witness_->Changes(std::string(kPool) + "-" + lane);
}

std::vector<LedDecision> ClusterStage::Decisions(const std::string& lane) {
  const LedgerPage page =
      Must(ReadLedger(jetstream_, Key(lane), static_cast<std::size_t>(kLedgerEntriesPerLaneMax)),
           "reading the ledger");
  if (!page.skipped.empty()) throw std::runtime_error(page.skipped.front().message);
  std::vector<LedDecision> decisions;
  for (const LedgerEntry& entry : page.entries) decisions.push_back({entry.leader, entry.epoch});
  return decisions;
}

std::vector<std::string> ClusterStage::LessSafeStreams() {
  std::vector<std::string> less;
  for (const std::string& stream : Streams()) {
    const auto state = Must(jetstream_.StreamInfo(stream), stream);
    if (Parsed(state.config_json).value("num_replicas", 0) < kReplicas) less.push_back(stream);
  }
  return less;
}

void ClusterStage::Say(const std::string& text) const {
  const std::chrono::duration<double> since = steady_clock::now() - started_;
  std::printf("[%6.1f s] %s\n", since.count(), text.c_str());
  std::fflush(stdout);
}

}  // namespace lanekeeper::e2e
