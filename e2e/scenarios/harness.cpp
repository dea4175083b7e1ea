#include "e2e/scenarios/harness.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <sstream>
#include <thread>

extern char** environ;

namespace lanekeeper::e2e {
namespace {

using Clock = std::chrono::steady_clock;

std::string EnvironmentOr(const char* name, const std::string& fallback) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0' ? value : fallback;
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// A file that has no name any more once it is open; the output of a program goes there, so that no
// pipe can fill up and no thread is needed to read it.
std::string TemporaryFile(int& descriptor) {
  std::string path = EnvironmentOr("TMPDIR", "/tmp") + "/lanekeeper-e2e-XXXXXX";
  descriptor = mkstemp(path.data());
  return path;
}

pid_t Spawn(const std::vector<std::string>& argv, int in, int out, int err) {
  std::vector<char*> raw;
  for (const std::string& arg : argv) raw.push_back(const_cast<char*>(arg.c_str()));
  raw.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
  pid_t pid = -1;
  const int failed = posix_spawnp(&pid, raw[0], &actions, nullptr, raw.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  return failed == 0 ? pid : -1;
}

// The exit status, or nothing when `pid` still runs at the deadline.
std::optional<int> WaitFor(pid_t pid, Clock::time_point deadline) {
  for (;;) {
    int status = 0;
    const pid_t ended = waitpid(pid, &status, WNOHANG);
    if (ended == pid) return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    if (ended < 0) return -1;
    if (Clock::now() >= deadline) return std::nullopt;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

}  // namespace

Ended RunProgram(const std::vector<std::string>& argv, const std::string& input,
                 std::chrono::seconds deadline) {
  int in = -1;
  int out = -1;
  int err = -1;
  const std::string in_path = TemporaryFile(in);
  const std::string out_path = TemporaryFile(out);
  const std::string err_path = TemporaryFile(err);
  Ended ended;
  if (in >= 0 && out >= 0 && err >= 0 &&
      write(in, input.data(), input.size()) == static_cast<ssize_t>(input.size())) {
    lseek(in, 0, SEEK_SET);
    const pid_t pid = Spawn(argv, in, out, err);
    if (pid > 0) {
      std::optional<int> status = WaitFor(pid, Clock::now() + deadline);
      if (!status) {
        kill(pid, SIGKILL);
        status = WaitFor(pid, Clock::now() + std::chrono::seconds(5));
      }
      ended.status = status.value_or(-1);
    }
  }
  ended.out = ReadFile(out_path);
  ended.err = ReadFile(err_path);
  for (const int descriptor : {in, out, err}) close(descriptor);
  for (const std::string& path : {in_path, out_path, err_path}) unlink(path.c_str());
  return ended;
}

BackgroundProgram::BackgroundProgram(const std::vector<std::string>& argv) {
  int out = -1;
  path_ = TemporaryFile(out);
  const int null = open("/dev/null", O_RDWR);
  pid_ = Spawn(argv, null, out, null);
  close(out);
  close(null);
}

BackgroundProgram::~BackgroundProgram() {
  if (pid_ > 0) {
    kill(pid_, SIGTERM);
    if (!WaitFor(pid_, Clock::now() + std::chrono::seconds(3))) {
      kill(pid_, SIGKILL);
      (void)WaitFor(pid_, Clock::now() + std::chrono::seconds(3));
    }
  }
  unlink(path_.c_str());
}

std::vector<std::string> BackgroundProgram::Lines() const {
  std::vector<std::string> lines;
  std::ifstream file(path_);
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

bool Await(const std::string& what, const std::function<bool()>& holds,
           std::chrono::seconds deadline) {
  const Clock::time_point started = Clock::now();
  while (Clock::now() - started < deadline) {
    if (holds()) {
      const std::chrono::duration<double> took = Clock::now() - started;
      std::printf("    %6.1f s  %s\n", took.count(), what.c_str());
      std::fflush(stdout);
      return true;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(200));
  }
  std::printf("    gave up after %lld s: %s\n", static_cast<long long>(deadline.count()),
              what.c_str());
  return false;
}

Cluster::Cluster()
    : kubeconfig_(EnvironmentOr(
          "E2E_KUBECONFIG",
          EnvironmentOr("LANEKEEPER_E2E_DIR", "/var/lib/lanekeeper-e2e") + "/kubeconfig")),
      nats_url_(EnvironmentOr("LANEKEEPER_E2E_NATS_URL", "nats://127.0.0.1:4222")) {}

std::vector<std::string> Cluster::KubectlArgv(std::vector<std::string> args) const {
  args.insert(args.begin(), {"kubectl", "--kubeconfig", kubeconfig_, "--request-timeout=0"});
  return args;
}

Ended Cluster::Kubectl(std::vector<std::string> args, const std::string& input) const {
  return RunProgram(KubectlArgv(std::move(args)), input);
}

Json Cluster::Get(const std::string& kind, const std::string& in_namespace,
                  const std::string& name) const {
  const Ended ended =
      Kubectl({"get", kind, name, "-n", in_namespace, "--ignore-not-found", "-o", "json"});
  return Json::parse(ended.out, nullptr, false).is_object() ? Json::parse(ended.out) : Json();
}

std::vector<Json> Cluster::List(const std::string& kind, const std::string& in_namespace,
                                const std::string& selector) const {
  const Ended ended = Kubectl({"get", kind, "-n", in_namespace, "-l", selector, "-o", "json"});
  const Json list = Json::parse(ended.out, nullptr, false);
  if (!list.is_object() || !list.contains("items")) return {};
  return list["items"].get<std::vector<Json>>();
}

bool Cluster::Apply(const std::string& manifest) const {
  const Ended ended = Kubectl({"apply", "-f", "-"}, manifest);
  if (ended.status != 0) std::printf("kubectl apply: %s\n", ended.err.c_str());
  return ended.status == 0;
}

bool Cluster::PatchPool(const std::string& in_namespace, const std::string& pool,
                        const Json& patch) const {
  const Ended ended = Kubectl(
      {"patch", "workerpool", pool, "-n", in_namespace, "--type=merge", "-p", patch.dump()});
  if (ended.status != 0) std::printf("kubectl patch: %s\n", ended.err.c_str());
  return ended.status == 0;
}

ReplicaHistory::ReplicaHistory(const Cluster& cluster, const std::string& in_namespace)
    : watch_(
          cluster.KubectlArgv({"get", "deployments", "-n", in_namespace, "--watch", "--no-headers",
                               "-o", "custom-columns=NAME:.metadata.name,N:.spec.replicas"})) {}

std::vector<int> ReplicaHistory::Of(const std::string& deployment) const {
  std::vector<int> history;
  for (const std::string& line : watch_.Lines()) {
    std::istringstream words(line);
    std::string name;
    int replicas = 0;
    if (!(words >> name >> replicas) || name != deployment) continue;
    if (history.empty() || history.back() != replicas) history.push_back(replicas);
  }
  return history;
}

namespace {

std::unique_ptr<nats::Connection> MustConnect(const std::string& url) {
  auto connection = nats::Connection::Open({.url = url, .name = "lanekeeper-e2e"});
  if (!connection) {
    std::fprintf(stderr, "NATS at %s: %s\n", url.c_str(), connection.error().message.c_str());
    std::abort();
  }
  return *std::move(connection);
}

}  // namespace

Jobs::Jobs(const Cluster& cluster)
    : connection_(MustConnect(cluster.nats_url())), jetstream_(*connection_) {
  const auto info = jetstream_.StreamInfo(kResultsStream);
  if (!info) {
    const Json config = {{"name", kResultsStream},
                         {"subjects", {kResultsSubject}},
                         {"retention", "limits"},
                         {"storage", "file"},
                         {"max_msgs", 1000000}};
    (void)jetstream_.CreateStream(kResultsStream, config.dump());
  } else {
    next_sequence_ = info->last_sequence + 1;  // Results of an earlier run are not ours.
  }
}

int Jobs::Publish(const LaneKey& key, int count, const std::string& type,
                  const std::string& payload, const std::string& id_prefix) {
  int stored = 0;
  for (int n = 0; n < count; ++n) {
    const nats::Headers headers = {
        {std::string(kHeaderMessageId), id_prefix + "-" + std::to_string(n)},
        {std::string(kHeaderType), type}};
    const auto ack = jetstream_.PublishAck(JobSubject(key), payload, headers);
    if (ack) {
      ++stored;
    } else {
      std::printf("publish: %s\n", ack.error().error.message.c_str());
    }
  }
  return stored;
}

std::map<std::string, int> Jobs::Results() {
  const auto info = jetstream_.StreamInfo(kResultsStream);
  if (!info) return results_;
  for (; next_sequence_ <= info->last_sequence; ++next_sequence_) {
    const auto stored = jetstream_.GetMessage(kResultsStream, next_sequence_);
    if (!stored) {
      if (stored.error().cause == nats::ApiCause::kMessageMissing) continue;
      break;  // NATS is away; the next call goes on here.
    }
    const Json result = Json::parse(stored->payload, nullptr, false);
    if (result.is_object() && result.contains("id")) ++results_[result["id"].get<std::string>()];
  }
  return results_;
}

int Jobs::Finished(const std::string& prefix) {
  int count = 0;
  for (const auto& [id, times] : Results()) count += id.rfind(prefix, 0) == 0 ? 1 : 0;
  return count;
}

std::string PoolManifest(const std::string& in_namespace, const std::string& pool,
                         const std::string& lanes, const std::string& spec_extra) {
  const std::string image = EnvironmentOr("LANEKEEPER_E2E_WORKER_IMAGE", "lanekeeper/worker:e2e");
  return "apiVersion: v1\nkind: Namespace\nmetadata: {name: " + in_namespace + "}\n---\n" +
         "apiVersion: lanekeeper.dev/v1alpha1\nkind: WorkerPool\n"
         "metadata: {name: " +
         pool + ", namespace: " + in_namespace +
         "}\n"
         "spec:\n" +
         spec_extra +
         "  template:\n"
         "    spec:\n"
         "      containers:\n"
         "      - name: worker\n"
         "        image: " +
         image +
         "\n"
         "        imagePullPolicy: IfNotPresent\n"
         "        command: [lanekeeper-example-worker]\n"
         "        env: [{name: EXAMPLE_RESULTS_SUBJECT, value: " +
         Jobs::kResultsSubject +
         "}]\n"
         "        resources: {requests: {cpu: 5m, memory: 16Mi}}\n"
         "  lanes:\n" +
         lanes;
}

void RemoveNamespace(const Cluster& cluster, Jobs& jobs, const std::string& pool_namespace) {
  cluster.Kubectl({"delete", "workerpools", "--all", "-n", pool_namespace, "--timeout=120s"});
  cluster.Kubectl({"delete", "namespace", pool_namespace, "--ignore-not-found", "--wait=false"});
  for (const std::string& stream : StreamsOf(jobs, pool_namespace)) {
    (void)jobs.jetstream().DeleteStream(stream);
  }
}

std::vector<std::string> StreamsOf(Jobs& jobs, const std::string& pool_namespace) {
  std::vector<std::string> found;
  const auto names = jobs.jetstream().StreamNames();
  if (!names) return found;
  for (const std::string& name : *names) {
    if (name.rfind("LK_" + pool_namespace + "_", 0) == 0) found.push_back(name);
  }
  return found;
}

pid_t OperatorPid() {
  const Ended found = RunProgram({"pgrep", "-x", "-f", "/usr/local/bin/lanekeeper-operator"});
  return found.status == 0 ? static_cast<pid_t>(std::atoi(found.out.c_str())) : 0;
}

std::string ReadProjectFile(const std::string& path) { return ReadFile(path); }

}  // namespace lanekeeper::e2e
