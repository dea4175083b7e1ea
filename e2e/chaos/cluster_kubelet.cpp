#include "e2e/chaos/cluster_kubelet.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "e2e/bench/lane_bench.h"
#include "operator/kubernetes/object_names.h"
#include "operator/kubernetes/pod_marks.h"
#include "operator/kubernetes/requests.h"
#include "worker-runtime/base/stoppable_sleep.h"
#include "worker-runtime/base/time.h"
#include "worker-runtime/nats/worker_report_json.h"

namespace lanekeeper::e2e {
namespace {

using nlohmann::json;

constexpr std::chrono::milliseconds kPassEvery{100};

std::filesystem::path MadeFolder(std::filesystem::path folder) {
  std::filesystem::create_directories(folder);
  return folder;
}

// By name.
json PodsOf(kubernetes::Api& api, const LaneKey& key) {
  const auto answer = api.Call(kubernetes::ListRequest(
      kubernetes::kPods, {.only_namespace = key.pool_namespace,
                          .label_selector = std::string(kubernetes::kLabelLane) + "=" + key.lane}));
  const json list = answer ? json::parse(answer->body, nullptr, false) : json();
  if (!list.is_object() || !list.contains("items")) return {};
  json pods = json::object();
  for (const json& pod : list["items"]) pods[pod["metadata"].value("name", "")] = pod;
  return pods;
}

}  // namespace

ClusterKubelet::ClusterKubelet(kubernetes::Api& api, const ReplicaWitness& witness,
                               nats::Connection& connection, ClusterKubeletOptions options)
    : api_(api),
      witness_(witness),
      options_(std::move(options)),
      platform_(clock_, {.nats_url = options_.nats_url,
                         .status_folder = MadeFolder(options_.folder / "status"),
                         .logs_folder = MadeFolder(options_.folder / "workers"),
                         .programs_folder = options_.programs_folder,
                         .reported = [this](const LaneKey& key) {
                           const std::lock_guard lock(mutex_);
                           const auto lane = lanes_.find(key.lane);
                           return lane == lanes_.end() ? std::vector<ReportedWorker>{}
                                                       : lane->second.roster.Workers();
                         }}) {
  for (const lanekeeper::Lane& lane : options_.pool.lanes) {
    lanes_[lane.name].key = options_.pool.KeyOf(lane);
  }
  reports_ = Must(connection.SubscribeCallback(
                      kWorkerReportFilter, [this](const nats::Message& message) { Hear(message); }),
                  "hearing the workers");
  platform_.Start([](const PoolKey&) {});
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

ClusterKubelet::~ClusterKubelet() {
  reports_.reset();
  thread_ = {};
  platform_.Stop();
}

std::vector<BusySpan> ClusterKubelet::Busy(const std::string& lane) const {
  const std::lock_guard lock(mutex_);
  return lanes_.at(lane).busy;
}

std::vector<WorkerEnd> ClusterKubelet::Ends(const std::string& lane) const {
  const std::lock_guard lock(mutex_);
  return lanes_.at(lane).ends;
}

void ClusterKubelet::Hear(const nats::Message& message) {
  constexpr int kPrefixTokens = 3;  // lk.v1.worker.
  const auto key = LaneKeyFromSubject(message.subject, kPrefixTokens);
  const auto report = nats::ReadWorkerReport(message.payload);
  const SteadyTime now = std::chrono::steady_clock::now();
  if (!key || !report) return;
  const std::lock_guard lock(mutex_);
  const auto found = lanes_.find(key->lane);
  if (found == lanes_.end()) return;
  Lane& lane = found->second;
  lane.roster.Record(*report, now);
  lane.roster.Expire(now);
  if (report->running == 0) {
    lane.open_span.erase(report->worker);
    return;
  }
  const auto [open, is_new] = lane.open_span.try_emplace(report->worker, lane.busy.size());
  if (is_new) lane.busy.push_back({report->worker, now, now});
  lane.busy.at(open->second).to = now;
}

void ClusterKubelet::Run(const std::stop_token& stop) {
  do {
    for (auto& [name, lane] : lanes_) Pass(name, lane);
  } while (SleepUnlessStopped(kPassEvery, stop));
}

// What the API server refuses or has not heard of yet is tried in the next pass.
void ClusterKubelet::Pass(const std::string& name, Lane& lane) {
  // The number first: marks are set before it is lowered, so these are no older.
  const int replicas = witness_.Replicas(options_.pool.key.name + "-" + name);
  if (replicas < 0) return;
  const json pods = PodsOf(api_, lane.key);
  if (!pods.is_object()) return;
  TakeMarks(lane, pods);
  SetReplicas(name, lane, replicas);
  ShowWorkers(name, lane, pods);
}

void ClusterKubelet::TakeMarks(const Lane& lane, const json& pods) {
  const Crew crew = platform_.Workers(lane.key).value_or(Crew{});
  for (const PlacedWorker& worker : crew.placed) {
    if (!pods.contains(worker.name)) continue;
    const WorkerMarks marks = kubernetes::ReadMarks(pods[worker.name]).marks;
    if (marks != worker.marks) (void)platform_.Mark(lane.key, worker.name, marks);
  }
}

void ClusterKubelet::SetReplicas(const std::string& name, Lane& lane, int replicas) {
  if (replicas == lane.replicas) return;
  const auto is_it = [&](const lanekeeper::Lane& one) { return one.name == name; };
  const auto& lanes = options_.pool.lanes;
  const auto state =
      lane.replicas < 0
          ? platform_.Apply(options_.pool, *std::find_if(lanes.begin(), lanes.end(), is_it),
                            replicas)
          : platform_.SetReplicas(lane.key, replicas);
  // A template that cannot be started is this program's own mistake.
  if (!state) std::fprintf(stderr, "%s: %s\n", name.c_str(), state.error().message.c_str());
  if (state) lane.replicas = replicas;
}

void ClusterKubelet::ShowWorkers(const std::string& name, Lane& lane, const json& pods) {
  const Crew crew = platform_.Workers(lane.key).value_or(Crew{});
  for (const EndingWorker& worker : crew.ending) {
    if (!lane.told_to_end.insert(worker.name).second) continue;
    const std::lock_guard lock(mutex_);
    lane.ends.push_back({worker.name, std::chrono::steady_clock::now()});
  }
  for (const PlacedWorker& worker : crew.placed) {
    if (!pods.contains(worker.name)) CreatePod(lane, worker.name);
    ShowReady(lane, worker.name, worker.phase == PlacedWorker::Phase::kReady);
  }
  for (const auto& [pod, object] : pods.items()) {
    if (FindWorker(crew.placed, pod) != nullptr) continue;
    const bool ending = FindWorker(crew.ending, pod) != nullptr;
    if (!ending) {
      DeletePod(pod, /*at_once=*/true);
      lane.ready_said.erase(pod);
    } else if (!object["metadata"].contains("deletionTimestamp")) {
      DeletePod(pod, /*at_once=*/false);
    }
  }
  ShowStatus(name, lane, crew);
}

void ClusterKubelet::ShowReady(Lane& lane, const std::string& pod, bool ready) {
  const auto said = lane.ready_said.find(pod);
  if (said != lane.ready_said.end() && said->second == ready) return;
  const json condition = {{"type", "Ready"},
                          {"status", ready ? "True" : "False"},
                          {"lastTransitionTime", FormatRfc3339(clock_.WallNow())}};
  const auto told = api_.Call(kubernetes::MergePatchStatusRequest(
      kubernetes::kPods, {lane.key.pool_namespace, pod},
      json{{"status", {{"phase", "Running"}, {"conditions", json::array({condition})}}}}.dump()));
  if (told) lane.ready_said[pod] = ready;
}

void ClusterKubelet::ShowStatus(const std::string& name, Lane& lane, const Crew& crew) {
  const auto ready = std::count_if(
      crew.placed.begin(), crew.placed.end(),
      [](const PlacedWorker& worker) { return worker.phase == PlacedWorker::Phase::kReady; });
  const std::string status = json{{"status",
                                   {{"replicas", crew.placed.size()},
                                    {"updatedReplicas", crew.placed.size()},
                                    {"readyReplicas", ready},
                                    {"availableReplicas", ready}}}}
                                 .dump();
  if (status == lane.status_said) return;
  const auto told = api_.Call(kubernetes::MergePatchStatusRequest(
      kubernetes::kDeployments, {lane.key.pool_namespace, options_.pool.key.name + "-" + name},
      status));
  if (told) lane.status_said = status;
}

void ClusterKubelet::CreatePod(const Lane& lane, const std::string& name) {
  const json pod = {{"apiVersion", "v1"},
                    {"kind", "Pod"},
                    {"metadata",
                     {{"name", name},
                      {"labels",
                       {{kubernetes::kLabelApp, kubernetes::kAppName},
                        {kubernetes::kLabelManagedBy, kubernetes::kManagedBy},
                        {kubernetes::kLabelPool, lane.key.pool},
                        {kubernetes::kLabelLane, lane.key.lane}}}}},
                    {"spec",
                     {{"nodeName", "this-machine"},  // So that a deletion waits for its kubelet.
                      {"automountServiceAccountToken", false},
                      {"containers", json::array({{{"name", "worker"}, {"image", "worker:1"}}})}}}};
  (void)api_.Call(
      kubernetes::CreateRequest(kubernetes::kPods, lane.key.pool_namespace, pod.dump()));
}

void ClusterKubelet::DeletePod(const std::string& name, bool at_once) {
  kubernetes::Request request =
      kubernetes::DeleteRequest(kubernetes::kPods, {options_.pool.key.pool_namespace, name}, "");
  if (at_once) {
    request.body = R"({"apiVersion":"v1","kind":"DeleteOptions","gracePeriodSeconds":0})";
  }
  (void)api_.Call(request);
}

}  // namespace lanekeeper::e2e
