// The room against a real API server: what a script of answers can only claim.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <mutex>

#include "operator/kubernetes/kubernetes_pool_source.h"
#include "operator/kubernetes/platform_apiserver_fixture.h"
#include "operator/kubernetes/temporary_directory.h"
#include "operator/kubernetes/worker_pool_json.h"
#include "worker-runtime/base/text.h"

namespace lanekeeper::kubernetes {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

milliseconds Since(MonotonicTime begin) {
  return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begin);
}

// What a PoolSource reported.
class PoolLog {
 public:
  PoolSource::Callbacks Callbacks() {
    return {.on_pool =
                [this](auto pool) {
                  Add("pool " + pool->key.name + " " + std::to_string(pool->generation));
                },
            .on_gone = [this](const PoolKey& key) { Add("gone " + key.name); },
            .on_invalid = [this](const PoolKey& key, const Error&) { Add("invalid " + key.name); },
            .on_synced = [this] { Add("synced"); }};
  }
  bool Has(const std::string& line) {
    return Within(seconds(60), [&] {
      const std::lock_guard lock(mutex_);
      return std::find(lines_.begin(), lines_.end(), line) != lines_.end();
    });
  }
  std::size_t size() {
    const std::lock_guard lock(mutex_);
    return lines_.size();
  }
  std::vector<std::string> lines() {
    const std::lock_guard lock(mutex_);
    return lines_;
  }

 private:
  void Add(std::string line) {
    const std::lock_guard lock(mutex_);
    lines_.push_back(std::move(line));
  }
  std::mutex mutex_;
  std::vector<std::string> lines_;
};

std::string WithPaused(bool paused) { return json{{"spec", {{"paused", paused}}}}.dump(); }

class PoolSourceApiServerTest : public ApiServerTest {};

TEST_F(PoolSourceApiServerTest, SeesWhatExistsAndWhatHappens) {
  CreatePool("before");
  PoolLog log;
  KubernetesPoolSource source(*client_, namespace_);
  source.Start(log.Callbacks());
  ASSERT_TRUE(log.Has("synced"));
  EXPECT_THAT(log.lines(), ElementsAre("pool before 1", "synced"));

  CreatePool("media");
  EXPECT_TRUE(log.Has("pool media 1"));
  Do(MergePatchRequest(kWorkerPools, {namespace_, "media"}, WithPaused(true)));
  EXPECT_TRUE(log.Has("pool media 2"));
  Do(MergePatchStatusRequest(kWorkerPools, {namespace_, "media"},
                             R"({"status":{"observedGeneration":2}})"));
  Do(DeleteRequest(kWorkerPools, {namespace_, "media"}, ""));
  EXPECT_TRUE(log.Has("gone media"));
  EXPECT_EQ(log.size(), 5u);  // The status was no change.
}

TEST_F(PoolSourceApiServerTest, PagesThroughALongList) {
  for (int i = 0; i < 7; ++i) CreatePool("p" + std::to_string(i));
  int objects = 0;
  std::atomic<bool> synced{false};
  WatchLoop loop(*client_,
                 {.resource = kWorkerPools, .only_namespace = namespace_, .page_objects = 2},
                 {.on_object = [&](const json&) { ++objects; },
                  .on_gone = [](const ObjectName&, const std::string&) {},
                  .on_synced = [&] { synced = true; }});
  loop.Start();
  ASSERT_TRUE(Within(seconds(60), [&] { return synced.load(); }));
  constexpr std::uint64_t kRequests = 1 + 7 + 4 + 1;  // Namespace, pools, pages, watch.
  EXPECT_TRUE(Within(seconds(60), [&] { return client_->requests() >= kRequests; }));
  loop.Stop();
  EXPECT_EQ(objects, 7);
  EXPECT_EQ(client_->requests(), kRequests);
}

TEST_F(PoolSourceApiServerTest, GoesOnWhenAWatchHasRunItsTime) {
  std::mutex mutex;
  std::vector<std::string> names;
  WatchLoop loop(*client_,
                 {.resource = kWorkerPools, .only_namespace = namespace_, .timeout = seconds(1)},
                 {.on_object =
                      [&](const json& object) {
                        const std::lock_guard lock(mutex);
                        names.push_back(object["metadata"]["name"]);
                      },
                  .on_gone = [](const ObjectName&, const std::string&) {},
                  .on_synced = [] {}});
  loop.Start();
  std::this_thread::sleep_for(milliseconds(3500));
  CreatePool("late");
  EXPECT_TRUE(Within(seconds(60), [&] {
    const std::lock_guard lock(mutex);
    return names.size() == 1;
  }));
  loop.Stop();
}

TEST_F(PoolSourceApiServerTest, StopsWhileWatchesAreOpen) {
  SystemClock clock;
  PoolLog log;
  KubernetesPoolSource source(*client_, namespace_);
  KubernetesPlatform platform(*client_, clock, {.only_namespace = namespace_});
  source.Start(log.Callbacks());
  platform.Start([](const PoolKey&) {});
  ASSERT_TRUE(log.Has("synced"));
  std::this_thread::sleep_for(milliseconds(300));
  const MonotonicTime begin = clock.Now();
  source.Stop();
  platform.Stop();
  EXPECT_LT(Since(begin), WatchTarget{.resource = kWorkerPools}.timeout / 2);
}

TEST_F(PoolSourceApiServerTest, VersionTheServerHasForgottenLeadsToAList) {
  CreatePool("media");
  // The beginning of all time is long gone from the server's memory.
  WatchState state({.resource = kWorkerPools},
                   {.on_object = [](const json&) {},
                    .on_gone = [](const ObjectName&, const std::string&) {},
                    .on_synced = [] {}});
  state.NextStep();
  state.OnListAnswer(Answer{200, R"({"metadata":{"resourceVersion":"1"},"items":[]})"});
  const WatchState::Step watch = state.NextStep();
  ASSERT_TRUE(watch.is_watch);
  const Result<Answer> end = client_->Stream(
      watch.request, seconds(60), [&](std::string_view line) { return state.OnLine(line); }, {});
  state.OnStreamEnd(end, milliseconds(1));
  EXPECT_THAT(state.last_error().message, HasSubstr("410"));
  EXPECT_FALSE(state.NextStep().is_watch);
}

TEST_F(PoolSourceApiServerTest, VersionOfTheFutureLeadsToAListInTheEnd) {
  // What is left of a server after it was restored from a backup. It says nothing at all.
  CreatePool("media");
  WatchState state({.resource = kWorkerPools, .timeout = seconds(1)},
                   {.on_object = [](const json&) {},
                    .on_gone = [](const ObjectName&, const std::string&) {},
                    .on_synced = [] {}});
  state.NextStep();
  state.OnListAnswer(Answer{200, R"({"metadata":{"resourceVersion":"999999999"},"items":[]})"});
  int watches = 0;
  while (watches < 5) {
    const WatchState::Step step = state.NextStep();
    if (!step.is_watch) break;
    ++watches;
    const MonotonicTime begin = std::chrono::steady_clock::now();
    const Result<Answer> end = client_->Stream(
        step.request, seconds(60), [&](std::string_view line) { return state.OnLine(line); }, {});
    state.OnStreamEnd(end, Since(begin));
  }
  EXPECT_EQ(watches, WatchState::kQuietWatchesMax) << state.last_error().message;
}

TEST_F(PoolSourceApiServerTest, RecoversWhenTheServerComesBack) {
  if (!server_->is_ours()) GTEST_SKIP() << "not our API server to take down";
  CreatePool("media");
  CreatePool("doomed");
  PoolLog log;
  KubernetesPoolSource source(*client_, namespace_);
  source.Start(log.Callbacks());
  ASSERT_TRUE(log.Has("synced"));
  server_->Kill();
  EXPECT_EQ(client_->Call(GetRequest(kWorkerPools, {namespace_, "media"})).error().kind,
            ErrorKind::kRetryable);
  std::this_thread::sleep_for(seconds(2));
  server_->Start();
  Do(MergePatchRequest(kWorkerPools, {namespace_, "media"}, WithPaused(true)));
  Do(DeleteRequest(kWorkerPools, {namespace_, "doomed"}, ""));
  EXPECT_TRUE(log.Has("pool media 2"));
  EXPECT_TRUE(log.Has("gone doomed"));
  EXPECT_EQ(log.size(), 5u);  // Nothing was reported twice, and "synced" once.
}

class AccessApiServerTest : public ApiServerTest {
 protected:
  Result<Answer> List(KubeConfig config) {
    const auto client = ApiClient::Create(std::move(config));
    if (!client) return tl::unexpected<Error>(client.error());
    return (*client)->Call(ListRequest(kWorkerPools, {}));
  }
  KubeConfig WithoutCertificate() {
    KubeConfig config = server_->Config();
    config.client_certificate_pem.clear();
    config.client_key_pem.clear();
    return config;
  }
};

TEST_F(AccessApiServerTest, ClientCertificateOpens) { EXPECT_TRUE(List(server_->Config())); }

TEST_F(AccessApiServerTest, TokenOpens) {
  if (!server_->is_ours()) GTEST_SKIP() << "no token for this API server";
  const Result<KubeConfig> config = ReadKubeConfig(server_->token_kubeconfig(), "");
  ASSERT_TRUE(config) << config.error().message;
  ASSERT_FALSE(config->token.empty());
  EXPECT_TRUE(config->client_certificate_pem.empty());
  EXPECT_TRUE(List(*config));
}

TEST_F(AccessApiServerTest, WrongTokenIsForbiddenAndSoIsNone) {
  KubeConfig config = WithoutCertificate();
  EXPECT_EQ(List(config).error().kind, ErrorKind::kForbidden);
  config.token = "wrong";
  const Result<Answer> answer = List(config);
  EXPECT_EQ(answer.error(), (Error{ErrorKind::kForbidden, "401 Unauthorized"}));
}

TEST_F(AccessApiServerTest, TokenThatWasRenewedOnDiskIsUsedAtOnce) {
  if (!server_->is_ours()) GTEST_SKIP() << "no token for this API server";
  const std::string token = ReadKubeConfig(server_->token_kubeconfig(), "")->token;
  std::string file = "/tmp/lanekeeper-token-XXXXXX";
  close(mkstemp(file.data()));
  std::ofstream(file) << "expired";
  KubeConfig config = WithoutCertificate();
  config.token_file = file;
  const auto client = *ApiClient::Create(config);
  EXPECT_EQ(client->Call(ListRequest(kWorkerPools, {})).error().kind, ErrorKind::kForbidden);
  std::ofstream(file) << token << "\n";
  const Result<Answer> answer = client->Call(ListRequest(kWorkerPools, {}));
  EXPECT_TRUE(answer) << answer.error().message;
  std::filesystem::remove(file);
}

// As kubeconfigs of managed clusters have it: one run prints a token that has ended, the next one a
// certificate.
TEST_F(AccessApiServerTest, ProgramLogsInAndIsRunAgainWhenTheServerRefuses) {
  const TemporaryDirectory directory;
  const KubeConfig admin = server_->Config();
  const auto printed = [](const json& status) {
    return json{{"apiVersion", "client.authentication.k8s.io/v1"},
                {"kind", "ExecCredential"},
                {"status", status}}
        .dump();
  };
  directory.Write("1", printed({{"token", "expired"}}));
  directory.Write("2", printed({{"clientCertificateData", admin.client_certificate_pem},
                                {"clientKeyData", admin.client_key_pem}}));
  const std::string program = directory.WriteProgram(
      "login", "cd " + directory.path() + "; echo \"$KUBERNETES_EXEC_INFO\" >> runs\n" +
                   "cat $(wc -l < runs)\n");
  const std::string file = directory.Write(
      "kubeconfig",
      json{{"current-context", "a"},
           {"contexts", {{{"name", "a"}, {"context", {{"cluster", "c"}, {"user", "eks"}}}}}},
           {"clusters",
            {{{"name", "c"},
              {"cluster",
               {{"server", "https://" + admin.host + ":" + std::to_string(admin.port)},
                {"certificate-authority-data", EncodeBase64(admin.ca_pem)}}}}}},
           {"users",
            {{{"name", "eks"},
              {"user",
               {{"exec",
                 {{"apiVersion", "client.authentication.k8s.io/v1"},
                  {"command", "./login"},
                  {"interactiveMode", "Never"},
                  {"provideClusterInfo", true}}}}}}}}}
          .dump());
  const Result<KubeConfig> config = ReadKubeConfig(file, "");
  ASSERT_TRUE(config) << config.error().message;
  const auto client = *ApiClient::Create(*config);
  for (int n = 0; n < 3; ++n) {
    const Result<Answer> answer = client->Call(ListRequest(kWorkerPools, {}));
    ASSERT_TRUE(answer) << answer.error().message;
  }
  std::ifstream runs(directory.path() + "/runs");
  std::vector<std::string> infos;
  for (std::string line; std::getline(runs, line);) infos.push_back(line);
  ASSERT_EQ(infos.size(), 2u);
  EXPECT_EQ(json::parse(infos[0])["spec"]["cluster"]["certificate-authority-data"],
            EncodeBase64(admin.ca_pem));
}

TEST_F(AccessApiServerTest, ServerThatCannotProveItselfIsForbidden) {
  KubeConfig config = server_->Config();
  config.tls_server_name = "elsewhere.example.com";
  Result<Answer> answer = List(config);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::kForbidden);
  EXPECT_THAT(answer.error().message, HasSubstr("hostname mismatch"));

  config = server_->Config();
  config.ca_pem.clear();  // Only the system's authorities, which do not know this server.
  answer = List(config);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::kForbidden);
  EXPECT_THAT(answer.error().message, HasSubstr("is not trusted"));

  config.insecure_skip_tls_verify = true;
  EXPECT_TRUE(List(config));
}

TEST_F(AccessApiServerTest, NameOfTheCertificateMayBeGiven) {
  KubeConfig config = server_->Config();
  config.tls_server_name = "kubernetes.default.svc";
  const Result<Answer> answer = List(config);
  EXPECT_TRUE(answer) << answer.error().message;
}

// "manager/operation" of whoever owns spec.replicas.
std::vector<std::string> OwnersOfReplicas(const json& object) {
  std::vector<std::string> owners;
  for (const json& entry : object["metadata"]["managedFields"]) {
    if (!entry["fieldsV1"].contains("f:spec")) continue;
    if (!entry["fieldsV1"]["f:spec"].contains("f:replicas")) continue;
    owners.push_back(entry["manager"].get<std::string>() + "/" +
                     entry["operation"].get<std::string>());
  }
  return owners;
}

TEST_F(PlatformApiServerTest, AppliesEveryClassAndSeesIt) {
  for (const Lane& lane : pool_.lanes) {
    EXPECT_EQ(platform_->Observe(pool_.KeyOf(lane)).error().kind, ErrorKind::kNotFound);
    const Result<WorkloadState> applied = platform_->Apply(pool_, lane, 3);
    ASSERT_TRUE(applied) << applied.error().message;
    // There is no controller to look at it.
    EXPECT_EQ(*applied,
              (WorkloadState{
                  .replicas = 3, .pending = true, .lane_hash = LaneHash(lane), .generation = 1}));
    EXPECT_EQ(*platform_->Observe(pool_.KeyOf(lane)), *applied);
  }
  EXPECT_EQ(platform_->List(pool_.key)->size(), 2u);
  const json gpu = Deployment("media-gpu")["spec"];
  EXPECT_EQ(gpu["strategy"]["rollingUpdate"]["maxSurge"], 0);
  const json& pod_spec = gpu["template"]["spec"];
  EXPECT_EQ(pod_spec["tolerations"][0]["key"], "nvidia.com/gpu");
  EXPECT_EQ(pod_spec["containers"][0]["resources"]["limits"]["nvidia.com/gpu"], "1");
  EXPECT_EQ(pod_spec["containers"][0]["readinessProbe"]["httpGet"]["path"], "/readyz");
}

TEST_F(PlatformApiServerTest, RolloutIsOverWhenTheControllerSaysSo) {
  ASSERT_TRUE(platform_->Apply(pool_, Short(), 3));
  const auto report = [&](const char* status) {
    Do(MergePatchStatusRequest(kDeployments, {namespace_, "media-short"},
                               R"({"status":)" + std::string(status) + "}"));
  };
  const auto becomes = [&](int placed, bool rolling) {
    return Within(seconds(60), [&] {
      const Result<WorkloadState> state = platform_->Observe(ShortKey());
      return state && state->placed == placed && state->rolling == rolling;
    });
  };
  report(R"({"observedGeneration":1,"replicas":4,"updatedReplicas":2})");
  EXPECT_TRUE(becomes(4, true));
  report(R"({"observedGeneration":1,"replicas":3,"updatedReplicas":3})");
  EXPECT_TRUE(becomes(3, false));
  const Result<WorkloadState> scaled = platform_->SetReplicas(ShortKey(), 1);
  ASSERT_TRUE(scaled) << scaled.error().message;
  EXPECT_TRUE(scaled->pending) << "nobody has looked at it yet";
  EXPECT_TRUE(platform_->Observe(ShortKey())->pending);
  report(R"({"observedGeneration":2,"replicas":3,"updatedReplicas":3})");
  EXPECT_TRUE(becomes(3, false));
}

TEST_F(PlatformApiServerTest, ApplyingTheSameAgainChangesNothing) {
  ASSERT_TRUE(platform_->Apply(pool_, Short(), 3));
  const json before = Deployment("media-short");
  ASSERT_TRUE(platform_->Apply(pool_, Short(), 3));
  ASSERT_TRUE(platform_->SetReplicas(ShortKey(), 3));
  EXPECT_EQ(Deployment("media-short")["metadata"]["resourceVersion"],
            before["metadata"]["resourceVersion"]);
}

TEST_F(PlatformApiServerTest, ScalingAndApplyingHandTheFieldToEachOther) {
  ASSERT_TRUE(platform_->Apply(pool_, Short(), 3));
  EXPECT_THAT(OwnersOfReplicas(Deployment("media-short")), ElementsAre("lanekeeper/Apply"));
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(platform_->SetReplicas(ShortKey(), 5 + round)->replicas, 5 + round);
    EXPECT_THAT(OwnersOfReplicas(Deployment("media-short")), ElementsAre("lanekeeper/Update"));
    EXPECT_EQ(platform_->Apply(pool_, Short(), 50 + round)->replicas, 50 + round);
    EXPECT_THAT(OwnersOfReplicas(Deployment("media-short")), ElementsAre("lanekeeper/Apply"));
  }
  EXPECT_LE(Deployment("media-short")["metadata"]["managedFields"].size(), 2u);
}

TEST_F(PlatformApiServerTest, ZeroWorkersWorks) {
  ASSERT_TRUE(platform_->Apply(pool_, Short(), 3));
  EXPECT_EQ(platform_->SetReplicas(ShortKey(), 0)->replicas, 0);
  EXPECT_EQ(platform_->Observe(ShortKey())->replicas, 0);
  EXPECT_EQ(Deployment("media-short")["spec"]["replicas"], 0);
}

TEST_F(PlatformApiServerTest, VariableThatIsNoLongerWantedGoesAway) {
  WorkerPool pool = pool_;
  pool.lanes[0].template_json =
      R"({"spec":{"containers":[{"name":"worker","image":"w:1","env":[{"name":"OLD","value":"x"}]}]}})";
  ASSERT_TRUE(platform_->Apply(pool, pool.lanes[0], 1));
  EXPECT_THAT(Deployment("media-short").dump(), HasSubstr("OLD"));
  ASSERT_TRUE(platform_->Apply(pool_, Short(), 1));
  EXPECT_THAT(Deployment("media-short")["spec"].dump(), testing::Not(HasSubstr("OLD")));
}

TEST_F(PlatformApiServerTest, ChangeBySomebodyElseIsSeenAndTakenBack) {
  ASSERT_TRUE(platform_->Apply(pool_, Short(), 3));
  Request other =
      MergePatchRequest(kDeployments, {namespace_, "media-short"}, R"({"spec":{"replicas":9}})");
  other.query = "fieldManager=somebody";
  Do(other);
  EXPECT_TRUE(Within(seconds(60), [&] { return platform_->Observe(ShortKey())->replicas == 9; }));
  EXPECT_EQ(platform_->SetReplicas(ShortKey(), 3)->replicas, 3);
  EXPECT_THAT(OwnersOfReplicas(Deployment("media-short")), ElementsAre("lanekeeper/Update"));
}

TEST_F(PlatformApiServerTest, ForeignDeploymentIsRefusedAndLeftAlone) {
  const char* selector = R"({"matchLabels":{"a":"b"}})";
  const char* pod =
      R"({"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}})";
  const json before = Do(CreateRequest(
      kDeployments, namespace_,
      R"({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"media-short"},"spec":{"selector":)" +
          std::string(selector) + R"(,"template":)" + pod + "}}"));
  const Result<WorkloadState> applied = platform_->Apply(pool_, Short(), 3);
  ASSERT_FALSE(applied);
  EXPECT_EQ(applied.error().kind, ErrorKind::kInvalid);
  EXPECT_THAT(applied.error().message,
              HasSubstr("deployment " + namespace_ + "/media-short exists and belongs to nobody"));
  EXPECT_EQ(platform_->SetReplicas(ShortKey(), 1).error().kind, ErrorKind::kNotFound);
  EXPECT_TRUE(platform_->Remove(ShortKey()));
  EXPECT_EQ(Deployment("media-short")["metadata"]["resourceVersion"],
            before["metadata"]["resourceVersion"]);
}

TEST_F(PlatformApiServerTest, DeploymentThatWasReplacedIsNotWrittenTo) {
  ASSERT_TRUE(platform_->Apply(pool_, Short(), 3));
  // Behind the watch's back: the uid in the cache is an old one.
  platform_->Stop();
  Do(DeleteRequest(kDeployments, {namespace_, "media-short"}, ""));
  WorkerPool other = pool_;
  other.uid = "11111111-1111-1111-1111-111111111111";
  KubernetesPlatform somebody(*client_, clock_, {.only_namespace = namespace_});
  ASSERT_TRUE(somebody.Apply(other, Short(), 4));
  EXPECT_EQ(platform_->Apply(pool_, Short(), 1).error().kind, ErrorKind::kRetryable);
  EXPECT_EQ(platform_->SetReplicas(ShortKey(), 1).error().kind, ErrorKind::kRetryable);
  EXPECT_EQ(platform_->Remove(ShortKey()).error().kind, ErrorKind::kRetryable);
  EXPECT_EQ(Deployment("media-short")["spec"]["replicas"], 4);
}

TEST_F(PlatformApiServerTest, RemovesTheDeployment) {
  ASSERT_TRUE(platform_->Apply(pool_, Short(), 3));
  ASSERT_TRUE(platform_->Remove(ShortKey()));
  EXPECT_EQ(platform_->Observe(ShortKey()).error().kind, ErrorKind::kRetryable);
  const json ending = Deployment("media-short");
  EXPECT_TRUE(ending["metadata"].contains("deletionTimestamp"));
  EXPECT_TRUE(platform_->Remove(ShortKey()));
  // What the garbage collector does once the pods are gone; there is none beside this API server.
  Do(MergePatchRequest(kDeployments, {namespace_, "media-short"},
                       R"({"metadata":{"finalizers":null}})"));
  ASSERT_TRUE(Within(seconds(60), [&] {
    return platform_->Observe(ShortKey()).error().kind == ErrorKind::kNotFound;
  }));
  ASSERT_TRUE(platform_->Apply(pool_, Short(), 1));  // And may come back.
  EXPECT_EQ(platform_->Observe(ShortKey())->replicas, 1);
}

TEST_F(PlatformApiServerTest, RefusalOfTheServerIsInvalidAndNamesTheField) {
  WorkerPool pool = pool_;
  pool.lanes[0].template_json = R"({"spec":{"containers":[{"name":"Not A Name","image":"w"}]}})";
  const Result<WorkloadState> applied = platform_->Apply(pool, pool.lanes[0], 1);
  ASSERT_FALSE(applied);
  EXPECT_EQ(applied.error().kind, ErrorKind::kInvalid);
  EXPECT_THAT(applied.error().message, HasSubstr("spec.template.spec.containers[0].name"));
}

TEST_F(PlatformApiServerTest, StatusIsWrittenReadBackAndAnEqualOneIsNoWrite) {
  EXPECT_EQ(*platform_->ReadStatus(pool_.key), PoolStatus());
  const PoolStatus status{.observed_generation = 1,
                          .conditions = {{.type = "Ready",
                                          .status = true,
                                          .reason = "LanesReady",
                                          .message = "All lanes are set up.",
                                          .last_transition = "2026-01-01T00:00:00Z"}},
                          .lanes = {{.name = "short",
                                     .waiting = 12,
                                     .workers_desired = 3,
                                     .workers_ready = 3,
                                     .workers_unschedulable = 1,
                                     .predicted_wait_seconds = 40,
                                     .release = "1 of 2 released, 1 busy, oldest for 00:12:40",
                                     .decision_workers = 3,
                                     .decision_reason = "BacklogGrew",
                                     .decision_message = "12 jobs.",
                                     .decision_time = "2026-01-01T00:00:00Z",
                                     .decision_terms = {{"demand", 3, "12 jobs"}}}}};
  const Result<void> written = platform_->WriteStatus(pool_, status);
  ASSERT_TRUE(written) << written.error().message;
  EXPECT_EQ(*platform_->ReadStatus(pool_.key), status);
  const json before = PoolObject();
  EXPECT_EQ(before["status"]["summary"]["lanes"], "short 12/3");
  ASSERT_TRUE(platform_->WriteStatus(pool_, status));
  EXPECT_EQ(PoolObject()["metadata"]["resourceVersion"], before["metadata"]["resourceVersion"]);

  WorkerPool older = pool_;
  older.uid = "11111111-1111-1111-1111-111111111111";
  EXPECT_EQ(platform_->WriteStatus(older, status).error().kind, ErrorKind::kRetryable);
}

TEST_F(PlatformApiServerTest, FinalizersOfOthersSurviveOurs) {
  const WorkerPool pool = *WorkerPoolFromJson(CreatePool("shared", R"(["example.com/other"])"));
  const auto finalizers = [&] {
    return Do(GetRequest(kWorkerPools, {namespace_, "shared"}))["metadata"]["finalizers"];
  };
  ASSERT_TRUE(platform_->AddFinalizer(pool));
  ASSERT_TRUE(platform_->AddFinalizer(pool));
  EXPECT_EQ(finalizers(), json::parse(R"(["example.com/other","lanekeeper.dev/queues"])"));
  Do(DeleteRequest(kWorkerPools, {namespace_, "shared"}, pool.uid));
  EXPECT_TRUE(WorkerPoolFromJson(Do(GetRequest(kWorkerPools, {namespace_, "shared"})))->deleting);
  ASSERT_TRUE(platform_->RemoveFinalizer(pool));
  EXPECT_EQ(finalizers(), json::parse(R"(["example.com/other"])"));
  Do(MergePatchRequest(kWorkerPools, {namespace_, "shared"},
                       R"({"metadata":{"finalizers":null}})"));
  EXPECT_TRUE(platform_->RemoveFinalizer(pool));  // Gone: nothing to hold.
}

TEST_F(PlatformApiServerTest, SameEventIsOneObjectWithACount) {
  const auto events = [&] {
    return Do(ListRequest(kEvents, {.only_namespace = namespace_}))["items"];
  };
  const PoolEvent event{.warning = true, .reason = "QueueUnreachable", .message = "No answer."};
  for (int i = 0; i < 3; ++i) platform_->Publish(pool_, event);
  platform_->Publish(pool_, {.reason = "ScaledUp", .message = "Scaled from 0 to 3."});
  EXPECT_TRUE(Within(seconds(60), [&] { return events().size() == 2; }));
  const auto found = [&] {
    for (const json& item : events()) {
      if (item["reason"] == "QueueUnreachable") return item;
    }
    return json();
  };
  EXPECT_TRUE(Within(seconds(60), [&] { return found()["count"] == 3; }));
  EXPECT_EQ(found()["type"], "Warning");
  EXPECT_EQ(found()["involvedObject"]["uid"], pool_.uid);
  // Somebody cleaned up: the next one starts anew.
  Do(DeleteRequest(kEvents, {namespace_, found()["metadata"]["name"]}, ""));
  platform_->Publish(pool_, event);
  EXPECT_TRUE(Within(seconds(60), [&] { return found().is_object(); }));
  EXPECT_EQ(platform_->events_dropped(), 0u);
}

TEST_F(PlatformApiServerTest, NothingIsWrittenWhileNothingChanges) {
  ASSERT_TRUE(platform_->Apply(pool_, Short(), 3));
  const std::uint64_t writes = client_->writes();
  // The watches may still have to be begun.
  EXPECT_TRUE(Within(seconds(60), [&] {
    const std::uint64_t requests = client_->requests();
    for (int i = 0; i < 100; ++i) {
      EXPECT_TRUE(platform_->Observe(ShortKey()));
      std::this_thread::sleep_for(milliseconds(10));
    }
    return client_->requests() == requests;
  }));
  EXPECT_EQ(client_->writes(), writes);
}

}  // namespace
}  // namespace lanekeeper::kubernetes
