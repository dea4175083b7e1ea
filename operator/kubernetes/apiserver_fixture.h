// A real API server for tests: the one LANEKEEPER_TEST_KUBECONFIG names, or one of our own, started
// by e2e/cluster/cluster.sh in a folder of /tmp and ended with the test program.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "operator/kubernetes/api_client.h"
#include "operator/kubernetes/kubeconfig.h"

namespace lanekeeper::kubernetes {

inline std::string ReadWholeFile(const std::string& file) {
  std::ifstream stream(file, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(stream), {});
}

// Waits for something the server or another thread does.
template <typename Condition>
bool Within(std::chrono::milliseconds limit, Condition condition) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (std::chrono::steady_clock::now() < end) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return condition();
}

class ApiServer {
 public:
  ApiServer() {
    if (const auto given = LookUpEnvironment("LANEKEEPER_TEST_KUBECONFIG")) {
      kubeconfig_ = *given;
    } else {
      std::string directory = "/tmp/lanekeeper-apiserver-XXXXXX";
      directory_ = mkdtemp(directory.data());
      kubeconfig_ = directory_ + "/kubeconfig";
      Start();
    }
    InstallResource();
  }
  ~ApiServer() {
    if (directory_.empty()) return;
    Cluster("api-down");
    std::filesystem::remove_all(directory_);
    std::filesystem::remove(directory_ + ".lock");  // Of cluster.sh.
  }

  // Only our own may be taken down.
  bool is_ours() const { return !directory_.empty(); }
  // Empty when it is not ours.
  std::string token_kubeconfig() const { return is_ours() ? directory_ + "/token-kubeconfig" : ""; }
  KubeConfig Config() const { return *ReadKubeConfig(kubeconfig_, ""); }

  void Start() const { ASSERT_EQ(Cluster("api-up"), 0) << "see " << directory_ << "/log"; }
  // Ends kube-apiserver like a crash; etcd stays. Start brings it back on the same port.
  void Kill() const {
    const pid_t pid = std::stoi(ReadWholeFile(directory_ + "/run/kube-apiserver.pid"));
    ASSERT_EQ(kill(pid, SIGKILL), 0);
    Within(std::chrono::seconds(60),
           [pid] { return ReadWholeFile("/proc/" + std::to_string(pid) + "/cmdline").empty(); });
  }

 private:
  int Cluster(const std::string& command) const {
    return std::system(("e2e/cluster/cluster.sh " + command + " " + directory_ + " >" + directory_ +
                        "/cluster.out 2>&1")
                           .c_str());
  }
  void InstallResource() const {
    const auto client = *ApiClient::Create(Config());
    const Resource definitions{"/apis/apiextensions.k8s.io/v1", "customresourcedefinitions", "",
                               ""};
    const Result<Answer> applied = client->Call(ApplyRequest(
        definitions, {"", "workerpools.lanekeeper.dev"}, ReadWholeFile("crds/workerpools.yaml")));
    ASSERT_TRUE(applied) << applied.error().message;
    ASSERT_TRUE(Within(std::chrono::seconds(60),
                       [&] { return client->Call(ListRequest(kWorkerPools, {})).has_value(); }));
  }

  std::string directory_;
  std::string kubeconfig_;
};

// Each test has a namespace of its own.
class ApiServerTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (!server_) server_ = std::make_unique<ApiServer>();
  }
  void SetUp() override {
    ASSERT_FALSE(HasFatalFailure());
    client_ = *ApiClient::Create(server_->Config());
    namespace_ =
        "lk-test-" + std::to_string(std::chrono::system_clock::now().time_since_epoch().count());
    ASSERT_TRUE(client_->Call(CreateRequest(
        {"/api/v1", "namespaces", "v1", "Namespace"}, "",
        R"({"apiVersion":"v1","kind":"Namespace","metadata":{"name":")" + namespace_ + R"("}})")));
  }
  void TearDown() override {
    const auto removed = client_->Call(
        DeleteRequest({"/api/v1", "namespaces", "v1", "Namespace"}, {"", namespace_}, ""));
    EXPECT_TRUE(removed) << removed.error().message;
  }

  // The body of the answer, which must be a good one.
  nlohmann::json Do(const Request& request) {
    const Result<Answer> answer = client_->Call(request);
    EXPECT_TRUE(answer) << request.method << " " << request.path << ": " << answer.error().message;
    return answer ? nlohmann::json::parse(answer->body) : nlohmann::json();
  }
  nlohmann::json CreatePool(const std::string& name, const char* finalizers = "[]") {
    return Do(CreateRequest(
        kWorkerPools, namespace_,
        R"({"apiVersion":"lanekeeper.dev/v1alpha1","kind":"WorkerPool","metadata":{"name":")" +
            name + R"(","finalizers":)" + finalizers +
            R"(},"spec":{"template":{"spec":{"containers":[{"name":"worker","image":"w:1"}]}},)"
            R"("lanes":[{"name":"short"},{"name":"gpu","class":"Gpu","workers":{"gpus":1}}]}})"));
  }

  // Ends with the program, not with a suite: two suites share it.
  static inline std::unique_ptr<ApiServer> server_;
  std::unique_ptr<ApiClient> client_;
  std::string namespace_;
};

}  // namespace lanekeeper::kubernetes
