#include "e2e/chaos/scaling_gpu.h"

#include <algorithm>
#include <map>

namespace lanekeeper::e2e {
namespace {

using std::chrono::milliseconds;

constexpr int kGpus = 2;
constexpr int kBudgetWorkers = 6;
constexpr int kBudgetGpus = 4;
// Longer than it takes until a worker without room counts as stuck.
constexpr milliseconds kGpuJob{42000};

std::string EscapedResource() { return "nvidia.com~1gpu"; }

Ended PatchNode(const Cluster& cluster, const std::string& node, const Json& patch) {
  return cluster.Kubectl(
      {"patch", "node", node, "--subresource=status", "--type=json", "-p", patch.dump()});
}

int Ready(const Witness& witness, const std::string& lane) {
  const auto pods = witness.Pods();
  return static_cast<int>(std::count_if(pods.begin(), pods.end(), [&](const auto& pod) {
    return pod.second.lane == lane && pod.second.Placed() && pod.second.ready;
  }));
}

void Need(std::vector<std::string>& troubles, const std::string& what, bool holds) {
  if (!holds) troubles.push_back("not seen: " + what);
}

void AwaitThat(std::vector<std::string>& troubles, const std::string& what,
               const std::function<bool()>& holds) {
  Need(troubles, what, Await(what, holds));
}

// The highest number of replicas of the Gpu lane, and of both lanes, that a watch saw.
void KeepMost(const std::vector<Sight>& sights, GpuResult& result) {
  std::map<std::string, int> replicas;
  for (const Sight& sight : sights) {
    if (sight.step != Step::kLowered && sight.step != Step::kRaised) continue;
    replicas[sight.who] = sight.replicas;
    int sum = 0;
    for (const auto& [name, count] : replicas) sum += count;
    result.most_workers = std::max(result.most_workers, sum);
    result.most_gpu_workers =
        std::max(result.most_gpu_workers, replicas[std::string(kStagePool) + "-gpu"]);
  }
}

}  // namespace

AdvertisedGpus::AdvertisedGpus(const Cluster& cluster, int gpus) : cluster_(cluster) {
  const std::vector<Json> nodes = cluster.List("nodes", "default");
  if (nodes.size() != 1) return;
  node_ = nodes[0]["metadata"]["name"];
  const Ended patched = PatchNode(cluster, node_,
                                  Json::array({{{"op", "add"},
                                                {"path", "/status/capacity/" + EscapedResource()},
                                                {"value", std::to_string(gpus)}}}));
  advertised_ = patched.status == 0 && Await("node has GPUs", [&] {
                  const Json node = cluster.Get("node", "default", node_);
                  return node.is_object() && node["status"]["allocatable"].value(
                                                 kGpuResource, "") == std::to_string(gpus);
                });
}

AdvertisedGpus::~AdvertisedGpus() {
  if (node_.empty()) return;
  for (const char* list : {"capacity", "allocatable"}) {
    PatchNode(cluster_, node_,
              Json::array({{{"op", "remove"},
                            {"path", "/status/" + std::string(list) + "/" + EscapedResource()}}}));
  }
}

std::string GpuLanes() {
  return "  - name: gpu\n    class: Gpu\n    workers: {max: 6, gpus: 1}\n"
         "    scaling: {jobsPerWorker: 1, scaleDownWindow: 3s}\n"
         "  - name: cpu\n    workers: {max: 6, slots: 1}\n"
         "    scaling: {jobsPerWorker: 1, scaleDownWindow: 3s}\n";
}

std::string GpuBudget() {
  return "  budget: {workers: " + std::to_string(kBudgetWorkers) +
         ", gpus: " + std::to_string(kBudgetGpus) + "}\n";
}

GpuResult RunGpuShortage(Stage& stage, Witness& witness) {
  GpuResult result;
  auto& troubles = result.troubles;
  const std::size_t since = witness.Now();
  stage.Begin("gpu shortage");
  Need(troubles, "Gpu jobs are stored", stage.Publish("gpu", 6, kGpuJob));
  AwaitThat(troubles, "as many Gpu workers as there are GPUs",
            [&] { return Ready(witness, "gpu") == kGpus; });
  AwaitThat(troubles, "CapacityShort names the scheduler's reason", [&] {
    const Json condition = stage.Condition("CapacityShort");
    result.capacity_message = condition.value("message", "");
    return condition.value("status", "") == "True" &&
           result.capacity_message.find(kGpuResource) != std::string::npos;
  });
  // Without the stuck workers' share it would be two.
  Need(troubles, "other jobs are stored", stage.Publish("cpu", 8, milliseconds(12000)));
  AwaitThat(troubles, "the other lane uses what the stuck one does not", [&] {
    result.cpu_workers = std::max(result.cpu_workers, stage.Replicas("cpu"));
    return result.cpu_workers > kBudgetWorkers - kBudgetGpus || stage.StartedOf("gpu") > kGpus;
  });
  Need(troubles, "Gpu jobs that still waited then", stage.StartedOf("gpu") == kGpus);
  Need(troubles, "what still waits is taken back",
       stage.TakeBackUnstarted("gpu") && stage.TakeBackUnstarted("cpu"));
  AwaitThat(troubles, "all jobs are done", [&] { return stage.AllDone(); });
  AwaitThat(troubles, "no worker is left",
            [&] { return witness.Placed("gpu") == 0 && witness.Placed("cpu") == 0; });
  AwaitThat(troubles, "CapacityShort is over",
            [&] { return stage.Condition("CapacityShort").value("status", "False") == "False"; });
  KeepMost(witness.Since(since), result);
  Need(troubles, "more for the other lane", result.cpu_workers > kBudgetWorkers - kBudgetGpus);
  Need(troubles, "budget of GPUs respected", result.most_gpu_workers <= kBudgetGpus);
  Need(troubles, "budget of workers respected", result.most_workers <= kBudgetWorkers);
  for (const auto& one : FindInterruptions(stage.Fates(), witness.Ends(), EndOfPods::kOnlyIdle)) {
    troubles.push_back("interrupted " + one);
  }
  return result;
}

std::vector<std::string> RunGpuRollout(Stage& stage, Witness& witness) {
  std::vector<std::string> troubles;
  stage.Begin("gpu rollout");
  Need(troubles, "Gpu jobs are stored", stage.Publish("gpu", kGpus, milliseconds(6000)));
  AwaitThat(troubles, "both GPUs are busy",
            [&] { return stage.CountJobs(JobState::kRunning) == kGpus; });
  std::vector<std::string> old;
  for (const auto& [name, pod] : witness.Pods()) {
    if (pod.lane == "gpu" && pod.Placed()) old.push_back(name);
  }
  Need(troubles, "template patched",
       stage.cluster().PatchPool(
           stage.pool_namespace(), kStagePool,
           {{"spec", {{"template", {{"metadata", {{"labels", {{"edition", "next"}}}}}}}}}}));
  Need(troubles, "more Gpu jobs are stored", stage.Publish("gpu", kGpus, milliseconds(2000)));
  AwaitThat(troubles, "old Gpu workers are gone", [&] {
    const auto pods = witness.Pods();
    return std::all_of(old.begin(), old.end(),
                       [&](const std::string& name) { return pods.at(name).gone; });
  });
  AwaitThat(troubles, "all jobs are done", [&] { return stage.AllDone(); });
  for (const auto& one :
       FindInterruptions(stage.Fates(), witness.Ends(), EndOfPods::kWithinGrace)) {
    troubles.push_back("interrupted " + one);
  }
  return troubles;
}

}  // namespace lanekeeper::e2e
