#include "e2e/chaos/scaling_witness.h"

#include <algorithm>
#include <fstream>
#include <sstream>

#include "worker-runtime/nats/worker_report_json.h"

namespace lanekeeper::e2e {
namespace {

constexpr std::chrono::milliseconds kReadPause{10};

WallTime WallNow() { return std::chrono::system_clock::now(); }

// One line an event. Not tabs between: kubectl would align them.
std::vector<std::string> Watch(const std::string& kind, const std::string& in_namespace,
                               const std::string& fields) {
  return {"get",     kind,
          "-n",      in_namespace,
          "--watch", "--output-watch-events",
          "-o",      "jsonpath={.type}|{.object.metadata.name}|" + fields + R"(|{"\n"})"};
}

std::vector<std::string> PodWatch(const std::string& in_namespace) {
  const std::string lane = R"({.object.metadata.labels.lanekeeper\.dev/lane})";
  const std::string ends = "{.object.metadata.deletionTimestamp}";
  const std::string cost =
      R"({.object.metadata.annotations.controller\.kubernetes\.io/pod-deletion-cost})";
  const std::string ready = R"({.object.status.conditions[?(@.type=="Ready")].status})";
  return Watch("pods", in_namespace, lane + "|" + ends + "|" + cost + "|" + ready);
}

std::vector<std::string> DeploymentWatch(const std::string& in_namespace) {
  return Watch("deployments", in_namespace, "{.object.spec.replicas}");
}

std::vector<std::string> Fields(const std::string& line) {
  std::vector<std::string> fields;
  std::istringstream text(line);
  for (std::string field; std::getline(text, field, '|');) fields.push_back(field);
  return fields;
}

// Lines that a program adds to a file, each once and only when it is whole.
class Tail {
 public:
  explicit Tail(const std::string& path) : file_(path) {}
  std::optional<std::string> Next() {
    std::string part;
    file_.clear();
    const bool whole = std::getline(file_, part) && !file_.eof();
    line_ += part;
    if (!whole) return std::nullopt;
    return std::exchange(line_, {});
  }

 private:
  std::ifstream file_;
  std::string line_;
};

}  // namespace

const char* NameOf(Step step) {
  switch (step) {
    case Step::kDrainAsked:
      return "drain asked";
    case Step::kUndrainAsked:
      return "undrain asked";
    case Step::kDrained:
      return "drained";
    case Step::kMarked:
      return "marked";
    case Step::kLowered:
      return "replicas lowered";
    case Step::kRaised:
      return "replicas raised";
    case Step::kToldToEnd:
      return "pod told to end";
  }
  return "?";
}

Witness::Witness(const Cluster& cluster, nats::Connection& connection,
                 const std::string& pool_namespace)
    : pod_watch_(cluster.KubectlArgv(PodWatch(pool_namespace))),
      deployment_watch_(cluster.KubectlArgv(DeploymentWatch(pool_namespace))) {
  auto reports =
      connection.SubscribeCallback("lk.v1.worker." + pool_namespace + ".>",
                                   [this](const nats::Message& message) { OnReport(message); });
  if (reports) reports_ = *std::move(reports);
  auto requests =
      connection.SubscribeCallback("lk.v1.control." + pool_namespace + ".>",
                                   [this](const nats::Message& message) { OnRequest(message); });
  if (requests) requests_ = *std::move(requests);
  reader_ = std::jthread([this](const std::stop_token& stop) { ReadWatches(stop); });
}

Witness::~Witness() {
  reports_.reset();
  requests_.reset();
}

std::size_t Witness::Now() const {
  const std::lock_guard lock(mutex_);
  return sights_.size();
}

std::optional<Sight> Witness::Await(Step step, std::size_t since,
                                    std::chrono::seconds deadline) const {
  std::unique_lock lock(mutex_);
  std::size_t next = since;
  std::optional<Sight> found;
  changed_.wait_for(lock, deadline, [&] {
    for (; next < sights_.size() && !found; ++next) {
      if (sights_[next].step == step) found = sights_[next];
    }
    return found.has_value();
  });
  return found;
}

std::vector<Sight> Witness::Since(std::size_t since) const {
  const std::lock_guard lock(mutex_);
  return {sights_.begin() + static_cast<std::ptrdiff_t>(since), sights_.end()};
}

int Witness::Count(Step step, std::size_t since) const {
  const std::vector<Sight> sights = Since(since);
  return static_cast<int>(std::count_if(sights.begin(), sights.end(),
                                        [step](const Sight& sight) { return sight.step == step; }));
}

std::map<std::string, SeenPod> Witness::Pods() const {
  const std::lock_guard lock(mutex_);
  return pods_;
}

int Witness::Placed(const std::string& lane) const {
  const auto pods = Pods();
  return static_cast<int>(std::count_if(pods.begin(), pods.end(), [&](const auto& pod) {
    return pod.second.lane == lane && pod.second.Placed();
  }));
}

PodEnds Witness::Ends() const {
  PodEnds ends;
  for (const auto& [name, pod] : Pods()) {
    if (pod.told_to_end) ends[name] = *pod.told_to_end;
  }
  return ends;
}

void Witness::ReadWatches(const std::stop_token& stop) {
  Tail pods(pod_watch_.path());
  Tail deployments(deployment_watch_.path());
  while (!stop.stop_requested()) {
    bool any = false;
    while (const auto line = pods.Next()) {
      OnPodLine(*line);
      any = true;
    }
    while (const auto line = deployments.Next()) {
      OnDeploymentLine(*line);
      any = true;
    }
    if (!any) std::this_thread::sleep_for(kReadPause);
  }
}

void Witness::OnPodLine(const std::string& line) {
  const std::vector<std::string> fields = Fields(line);
  if (fields.size() < 6) return;
  const std::lock_guard lock(mutex_);
  const std::string& name = fields[1];
  SeenPod& pod = pods_[name];
  pod.lane = fields[2];
  pod.gone = fields[0] == "DELETED";
  pod.ready = fields[5] == "True";
  const bool marked = !fields[4].empty() && fields[4][0] == '-';
  if (marked && !pod.marked) Add(Step::kMarked, name);
  pod.marked = marked;
  if (!fields[3].empty() && !pod.told_to_end) {
    pod.told_to_end = WallNow();
    Add(Step::kToldToEnd, name);
  }
}

void Witness::OnDeploymentLine(const std::string& line) {
  const std::vector<std::string> fields = Fields(line);
  if (fields.size() < 3) return;
  const std::lock_guard lock(mutex_);
  const int replicas = std::atoi(fields[2].c_str());
  const auto [known, first] = replicas_.try_emplace(fields[1], replicas);
  if (first || known->second == replicas) return;
  Add(replicas < known->second ? Step::kLowered : Step::kRaised, fields[1], replicas);
  known->second = replicas;
}

void Witness::OnReport(const nats::Message& message) {
  const Result<WorkerReport> report = nats::ReadWorkerReport(message.payload);
  if (!report) return;
  const std::lock_guard lock(mutex_);
  SeenPod& pod = pods_[report->worker];
  const bool was_drained = pod.report && pod.report->state == WorkerState::kDrained;
  if (report->state == WorkerState::kDrained && !was_drained) Add(Step::kDrained, report->worker);
  pod.report = *report;
}

void Witness::OnRequest(const nats::Message& message) {
  const std::string worker = message.subject.substr(message.subject.rfind('.') + 1);
  const std::lock_guard lock(mutex_);
  if (message.payload == kControlDrain) Add(Step::kDrainAsked, worker);
  if (message.payload == kControlUndrain) Add(Step::kUndrainAsked, worker);
}

void Witness::Add(Step step, const std::string& who, int replicas) {
  sights_.push_back({.step = step, .who = who, .replicas = replicas, .at = WallNow()});
  changed_.notify_all();
}

}  // namespace lanekeeper::e2e
