#include "operator/kubernetes/pool_nats_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "operator/control/ports.h"
#include "operator/kubernetes/deployment_manifest.h"
#include "operator/kubernetes/worker_pool_json.h"

namespace lanekeeper::kubernetes {
namespace {

using nlohmann::json;
using testing::Contains;
using testing::HasSubstr;

json PoolWith(const json& nats, const json& pod_spec = json::object()) {
  json pool = {
      {"metadata", {{"name", "media"}, {"namespace", "team-a"}}},
      {"spec",
       {{"template",
         {{"spec",
           {{"containers",
             {{{"name", "worker"}, {"image", "w"}}, {{"name", "side"}, {"image", "s"}}}}}}}},
        {"lanes", {{{"name", "short"}}}}}}};
  if (!nats.is_null()) pool["spec"]["nats"] = nats;
  pool["spec"]["template"]["spec"].update(pod_spec);
  return pool;
}

const json& AllOfIt() {
  static const json kNats = {
      {"url", "tls://nats:4222"},
      {"credentialsSecret", {{"name", "user"}, {"key", "a.creds"}}},
      {"tls",
       {{"caSecret", {{"name", "authority"}}}, {"clientCertificateSecret", {{"name", "client"}}}}}};
  return kNats;
}

std::string ProblemOf(const json& nats, const json& pod_spec = json::object()) {
  const auto pool = WorkerPoolFromJson(PoolWith(nats, pod_spec));
  return pool ? "" : pool.error().message;
}

// The pod spec of the lane's Deployment.
json PodOf(const json& nats, const json& pod_spec = json::object()) {
  const auto pool = WorkerPoolFromJson(PoolWith(nats, pod_spec));
  EXPECT_TRUE(pool) << pool.error().message;
  const auto manifest =
      DeploymentManifest(*pool, pool->lanes[0], 1, {.nats_url = "nats://of-the-operator"});
  EXPECT_TRUE(manifest) << manifest.error().message;
  return json::parse(*manifest)["spec"]["template"]["spec"];
}

std::string VariableOf(const json& pod, const std::string& name) {
  for (const json& variable : pod["containers"][0]["env"]) {
    if (variable["name"] == name) return variable.value("value", "");
  }
  return "absent";
}

TEST(PoolNats, IsReadWithItsDefaults) {
  const auto pool = WorkerPoolFromJson(PoolWith(AllOfIt()));
  ASSERT_TRUE(pool) << pool.error().message;
  EXPECT_EQ(pool->nats, (PoolNats{.url = "tls://nats:4222",
                                  .credentials = {"user", "a.creds"},
                                  .tls_ca = {"authority", "ca.crt"},
                                  .tls_certificate_of = "client"}));
  EXPECT_EQ(pool->lanes[0].nats, pool->nats);
  const auto short_one = WorkerPoolFromJson(
      PoolWith({{"url", "nats://a"}, {"credentialsSecret", {{"name", "user"}}}}));
  ASSERT_TRUE(short_one);
  EXPECT_EQ(short_one->nats->credentials, (SecretValue{"user", "user.creds"}));
  EXPECT_FALSE(WorkerPoolFromJson(PoolWith(nullptr))->nats);
}

TEST(PoolNats, UrlsAreServersWithoutAUser) {
  for (const char* good : {"nats://a", "nats://a:4222", "tls://a.b.svc:1", "nats://127.0.0.1:4222",
                           "nats://[::1]:4222", "nats://[fd00::1]", "nats://a:1,tls://b:2"}) {
    EXPECT_EQ(ProblemOf({{"url", good}}), "") << good;
  }
  for (const char* bad :
       {"a:4222", "http://a", "ws://a", "nats://", "nats://:4222", "nats://a:", "nats://a:123456",
        "nats://a:x", "nats://a/b", "nats://a b", "nats://a\nb", "nats://a,", ",nats://a",
        "nats://a,http://b", "nats://[::1", "nats://[]:1", "nats://a?x=1", "nats://a#x"}) {
    EXPECT_THAT(ProblemOf({{"url", bad}}), HasSubstr("spec.nats.url")) << bad;
  }
  EXPECT_THAT(ProblemOf({{"url", "nats://user:pass@a"}}), HasSubstr("use credentialsSecret"));
  EXPECT_EQ(ProblemOf({{"url", "nats://user:pass@a"}}).find("pass@"), std::string::npos);
  EXPECT_THAT(ProblemOf({{"url", "nats://" + std::string(1100, 'a')}}), HasSubstr("spec.nats.url"));
}

TEST(PoolNats, SecretsAreNamesAndNothingElse) {
  const auto problem = [](const json& secret) {
    return ProblemOf({{"url", "nats://a"}, {"credentialsSecret", secret}});
  };
  for (const char* name : {"kube-system/x", "../x", "A", "-a", "a-", ".", "a b", ""}) {
    EXPECT_THAT(problem({{"name", name}}), HasSubstr("spec.nats.credentialsSecret.name")) << name;
  }
  for (const char* key : {"../x", "a b", "a/b"}) {
    EXPECT_THAT(problem({{"name", "a"}, {"key", key}}),
                HasSubstr("spec.nats.credentialsSecret.key"))
        << key;
  }
}

TEST(PoolNats, WorkersGetItsServerAndTheFiles) {
  const json pod = PodOf(AllOfIt());
  EXPECT_EQ(VariableOf(pod, "LANEKEEPER_NATS_URL"), "tls://nats:4222");
  const std::string folder = "/var/run/lanekeeper/nats/";
  EXPECT_EQ(VariableOf(pod, "LANEKEEPER_NATS_CREDENTIALS"), folder + "credentials");
  EXPECT_EQ(VariableOf(pod, "LANEKEEPER_NATS_TLS_CA"), folder + "ca.crt");
  EXPECT_EQ(VariableOf(pod, "LANEKEEPER_NATS_TLS_CERT"), folder + "tls.crt");
  EXPECT_EQ(VariableOf(pod, "LANEKEEPER_NATS_TLS_KEY"), folder + "tls.key");
  EXPECT_EQ(pod["volumes"], json::parse(R"([{"name":"lanekeeper-nats","projected":{
      "defaultMode":292,"sources":[
        {"secret":{"name":"user","items":[{"key":"a.creds","path":"credentials"}]}},
        {"secret":{"name":"authority","items":[{"key":"ca.crt","path":"ca.crt"}]}},
        {"secret":{"name":"client","items":[{"key":"tls.crt","path":"tls.crt"},
                                            {"key":"tls.key","path":"tls.key"}]}}]}}])"));
  EXPECT_EQ(
      pod["containers"][0]["volumeMounts"],
      json::parse(
          R"([{"name":"lanekeeper-nats","mountPath":"/var/run/lanekeeper/nats","readOnly":true}])"));
  EXPECT_FALSE(pod["containers"][1].contains("volumeMounts"));
  EXPECT_FALSE(pod["containers"][1].contains("env"));
}

TEST(PoolNats, WithAGroupForFilesOnlyTheGroupReadsThem) {
  const json pod = PodOf(AllOfIt(), {{"securityContext", {{"fsGroup", 65532}}}});
  EXPECT_EQ(pod["volumes"][0]["projected"]["defaultMode"], 0440);
}

TEST(PoolNats, OwnVolumesStayBesideIt) {
  const json pod =
      PodOf(AllOfIt(), {{"volumes", {{{"name", "scratch"}, {"emptyDir", json::object()}}}}});
  EXPECT_EQ(pod["volumes"].size(), 2U);
  EXPECT_EQ(pod["volumes"][0]["name"], "scratch");
}

TEST(PoolNats, AServerWithoutSecretsNeedsNoVolume) {
  const json pod = PodOf({{"url", "nats://a"}});
  EXPECT_EQ(VariableOf(pod, "LANEKEEPER_NATS_URL"), "nats://a");
  EXPECT_EQ(VariableOf(pod, "LANEKEEPER_NATS_CREDENTIALS"), "absent");
  EXPECT_FALSE(pod.contains("volumes"));
}

TEST(PoolNats, PoolsWithoutItAreDeployedAsBefore) {
  const json pod = PodOf(nullptr);
  EXPECT_EQ(VariableOf(pod, "LANEKEEPER_NATS_URL"), "nats://of-the-operator");
  EXPECT_EQ(VariableOf(pod, "LANEKEEPER_NATS_TLS_CA"), "absent");
  EXPECT_FALSE(pod.contains("volumes"));
}

TEST(PoolNats, IsPartOfTheLaneHashOnlyWhereThereIsOne) {
  const auto hash = [](const json& nats) {
    return LaneHash(WorkerPoolFromJson(PoolWith(nats))->lanes[0]);
  };
  // Of 2026-11-26, before there was spec.nats: upgrading the operator rolls no worker.
  EXPECT_EQ(hash(nullptr), "307cbe53c1a6c313");
  EXPECT_NE(hash({{"url", "nats://a"}}), hash(nullptr));
  EXPECT_NE(hash({{"url", "nats://a"}}), hash({{"url", "nats://b"}}));
  EXPECT_NE(hash({{"url", "nats://a"}}),
            hash({{"url", "nats://a"}, {"credentialsSecret", {{"name", "user"}}}}));
  EXPECT_EQ(hash(AllOfIt()), hash(AllOfIt()));
}

TEST(PoolNats, ATemplateCannotTakeThePlaceOfTheFilesNorShowThemToOthers) {
  const json mount_by_side = {
      {"containers",
       {{{"name", "worker"}, {"image", "w"}},
        {{"name", "side"},
         {"image", "s"},
         {"volumeMounts", {{{"name", "lanekeeper-nats"}, {"mountPath", "/stolen"}}}}}}}};
  EXPECT_THAT(ProblemOf(AllOfIt(), mount_by_side), HasSubstr("spec.template.spec.containers"));
  const json init = {{"initContainers",
                      {{{"name", "init"},
                        {"image", "s"},
                        {"volumeMounts", {{{"name", "lanekeeper-nats"}, {"mountPath", "/x"}}}}}}}};
  EXPECT_THAT(ProblemOf(AllOfIt(), init), HasSubstr("lanekeeper-nats"));
  const json volume = {{"volumes", {{{"name", "lanekeeper-nats"}, {"emptyDir", json::object()}}}}};
  EXPECT_THAT(ProblemOf(AllOfIt(), volume), HasSubstr("spec.template.spec.volumes"));
  for (const char* path : {"/var/run/lanekeeper/nats", "/var/run/lanekeeper/nats/",
                           "/var/run/lanekeeper/nats/credentials"}) {
    const json over = {{"containers",
                        {{{"name", "worker"},
                          {"image", "w"},
                          {"volumeMounts", {{{"name", "mine"}, {"mountPath", path}}}}}}}};
    EXPECT_THAT(ProblemOf(AllOfIt(), over), HasSubstr("mountPath")) << path;
  }
  const json variable = {
      {"containers",
       {{{"name", "worker"},
         {"image", "w"},
         {"env", {{{"name", "LANEKEEPER_NATS_CREDENTIALS"}, {"value", "/x"}}}}}}}};
  EXPECT_THAT(ProblemOf(AllOfIt(), variable), HasSubstr("reserved"));
}

}  // namespace
}  // namespace lanekeeper::kubernetes
