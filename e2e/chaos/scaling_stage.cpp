#include "e2e/chaos/scaling_stage.h"

#include <signal.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "worker-runtime/nats/job_record_json.h"

namespace lanekeeper::e2e {
namespace {

constexpr const char* kOperatorNamespace = "lanekeeper-system";
constexpr const char* kOperatorSelector = "app.kubernetes.io/component=operator";

bool OperatorIsReady(const Cluster& cluster) {
  return cluster
             .Kubectl({"get", "deployment", "lanekeeper-operator", "-n", kOperatorNamespace, "-o",
                       "jsonpath={.status.readyReplicas}"})
             .out == "1";
}

}  // namespace

Stage::Stage(const Cluster& cluster, Jobs& jobs, std::string pool_namespace)
    : cluster_(cluster), jobs_(jobs), pool_namespace_(std::move(pool_namespace)) {}

bool Stage::Apply(const std::string& lanes, const std::string& spec_extra) {
  if (!cluster_.Apply(PoolManifest(pool_namespace_, kStagePool, lanes, spec_extra))) return false;
  return Await("pool is Ready", [this] {
    const Json pool = cluster_.Get("workerpool", pool_namespace_, kStagePool);
    return pool.is_object() && Condition("Ready").value("status", "") == "True" &&
           pool["status"].value("observedGeneration", 0) ==
               pool["metadata"].value("generation", -1);
  });
}

void Stage::Begin(const std::string& chapter) {
  chapter_ = chapter;
  std::replace(chapter_.begin(), chapter_.end(), ' ', '-');
  published_.clear();
  finished_.clear();
}

bool Stage::Publish(const std::string& lane, int count, std::chrono::milliseconds time) {
  const std::string prefix =
      pool_namespace_ + "-" + chapter_ + "-" + std::to_string(published_.size());
  for (int n = 0; n < count; ++n) published_.emplace_back(lane, prefix + "-" + std::to_string(n));
  return jobs_.Publish(Key(lane), count, "sleep", std::to_string(time.count()), prefix) == count;
}

bool Stage::TakeBackUnstarted(const std::string& lane) {
  const std::string stream = JobStreamName(Key(lane));
  const auto info = jobs_.jetstream().StreamInfo(stream);
  if (!info) return false;
  for (std::uint64_t sequence = info->first_sequence; sequence <= info->last_sequence; ++sequence) {
    const auto stored = jobs_.jetstream().GetMessage(stream, sequence);
    if (!stored) continue;  // Done meanwhile.
    const nats::Message message{.headers = stored->headers};
    const std::string id(message.Header(kHeaderMessageId).value_or(""));
    if (jobs_.jetstream().LastMessage(kRecordStream, RecordSubject(Key(lane), id))) continue;
    if (!jobs_.jetstream().DeleteMessage(stream, sequence)) return false;
    std::erase(published_, std::pair(lane, id));
  }
  return true;
}

std::vector<JobFate> Stage::Fates(const std::string& lane) {
  std::vector<JobFate> fates;
  for (const auto& [of_lane, id] : published_) {
    if (!lane.empty() && of_lane != lane) continue;
    const auto known = finished_.find(id);
    if (known != finished_.end()) {
      fates.push_back({id, known->second});
      continue;
    }
    JobFate fate{.id = id};
    const auto stored =
        jobs_.jetstream().LastMessage(kRecordStream, RecordSubject(Key(of_lane), id));
    if (stored) {
      if (const auto record = nats::ReadJobRecord(stored->payload)) fate.record = *record;
    }
    if (fate.record && Finished(*fate.record)) finished_[id] = *fate.record;
    fates.push_back(std::move(fate));
  }
  return fates;
}

int Stage::CountJobs(JobState state, const std::string& lane) {
  const auto fates = Fates(lane);
  return static_cast<int>(std::count_if(fates.begin(), fates.end(), [state](const JobFate& fate) {
    return fate.record && fate.record->state == state;
  }));
}

int Stage::StartedOf(const std::string& lane) {
  const auto fates = Fates(lane);
  return static_cast<int>(std::count_if(
      fates.begin(), fates.end(), [](const JobFate& fate) { return fate.record.has_value(); }));
}

int Stage::Replicas(const std::string& lane) const {
  const Json deployment =
      cluster_.Get("deployment", pool_namespace_, std::string(kStagePool) + "-" + lane);
  return deployment.is_object() ? deployment["spec"].value("replicas", 1) : -1;
}

Json Stage::LaneStatus(const std::string& lane) const {
  const Json pool = cluster_.Get("workerpool", pool_namespace_, kStagePool);
  const Json::json_pointer path("/status/lanes");
  if (!pool.is_object() || !pool.contains(path)) return Json::object();
  for (const Json& one : pool.at(path)) {
    if (one.value("name", "") == lane) return one;
  }
  return Json::object();
}

Json Stage::Condition(const std::string& type) const {
  const Json pool = cluster_.Get("workerpool", pool_namespace_, kStagePool);
  const Json::json_pointer path("/status/conditions");
  if (!pool.is_object() || !pool.contains(path)) return Json::object();
  for (const Json& one : pool.at(path)) {
    if (one.value("type", "") == type) return one;
  }
  return Json::object();
}

double WaitMs(const JobRecord& record) {
  return std::chrono::duration<double, std::milli>(record.first_started_at - record.stored_at)
      .count();
}

bool KillOperator(const Cluster& cluster) {
  const pid_t pid = OperatorPid();
  if (pid > 0 && kill(pid, SIGKILL) != 0) return false;
  cluster.Kubectl({"delete", "pod", "-n", kOperatorNamespace, "-l", kOperatorSelector,
                   "--grace-period=0", "--force"});
  return Await("operator is up again", [&] {
    const pid_t now = OperatorPid();
    return (pid == 0 || (now != 0 && now != pid)) && OperatorIsReady(cluster);
  });
}

double OperatorMetric(const Cluster& cluster, const std::string& name) {
  const Ended pods = cluster.Kubectl({"get", "pods", "-n", kOperatorNamespace, "-l",
                                      kOperatorSelector, "--field-selector=status.phase=Running",
                                      "-o", "jsonpath={.items[0].metadata.name}"});
  const Ended metrics = cluster.Kubectl({"get", "--raw",
                                         std::string("/api/v1/namespaces/") + kOperatorNamespace +
                                             "/pods/" + pods.out + ":8080/proxy/metrics"});
  double sum = std::nan("");
  std::istringstream lines(metrics.out);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind(name, 0) != 0) continue;
    if (line.size() == name.size() || (line[name.size()] != ' ' && line[name.size()] != '{')) {
      continue;
    }
    sum = (std::isnan(sum) ? 0 : sum) + std::atof(line.substr(line.rfind(' ') + 1).c_str());
  }
  return sum;
}

std::vector<pid_t> WorkerPids(const std::string& worker) {
  const std::string variable = std::string(kEnvWorker) + "=" + worker + '\0';
  std::vector<pid_t> pids;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc", ignored)) {
    const pid_t pid = std::atoi(entry.path().filename().c_str());
    if (pid <= 0) continue;
    const std::string environment = ReadProjectFile(entry.path() / "environ");
    if (environment.find(variable) != std::string::npos) pids.push_back(pid);
  }
  return pids;
}

}  // namespace lanekeeper::e2e
