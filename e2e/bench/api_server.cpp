#include "e2e/bench/api_server.h"

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "e2e/bench/lane_bench.h"
#include "operator/kubernetes/requests.h"

namespace lanekeeper::e2e {
namespace {

// On a busy machine it takes its time.
constexpr std::chrono::seconds kApplyDeadline{30};

}  // namespace

ApiServer::ApiServer(std::string folder) : folder_(std::move(folder)) {
  std::filesystem::create_directories(folder_);
  if (Cluster("api-up") == 0) return;
  const std::string said = TextOf(folder_ + "/cluster.out");
  Cluster("api-down");
  throw std::runtime_error("starting an API server: " + said);
}

ApiServer::~ApiServer() { Cluster("api-down"); }

kubernetes::KubeConfig ApiServer::Config() const {
  return Must(kubernetes::ReadKubeConfig(kubeconfig(), ""), "kubeconfig");
}

kubernetes::KubeConfig ApiServer::ConfigWithToken() const {
  return Must(kubernetes::ReadKubeConfig(folder_ + "/token-kubeconfig", ""), "kubeconfig");
}

pid_t ApiServer::pid_of(const std::string& program) const {
  return static_cast<pid_t>(std::atoi(TextOf(folder_ + "/run/" + program + ".pid").c_str()));
}

int ApiServer::Cluster(const std::string& command) const {
  return std::system(
      ("e2e/cluster/cluster.sh " + command + " " + folder_ + " >" + folder_ + "/cluster.out 2>&1")
          .c_str());
}

void ApplyCrd(kubernetes::Api& api) {
  const kubernetes::Resource definitions{"/apis/apiextensions.k8s.io/v1",
                                         "customresourcedefinitions", "", ""};
  Must(api.Call(kubernetes::ApplyRequest(definitions, {"", "workerpools.lanekeeper.dev"},
                                         TextOf("crds/workerpools.yaml")),
                {.deadline = kApplyDeadline}),
       "registering WorkerPool");
}

void CreateNamespace(kubernetes::Api& api, const std::string& name) {
  const nlohmann::json object = {
      {"apiVersion", "v1"}, {"kind", "Namespace"}, {"metadata", {{"name", name}}}};
  Must(api.Call(kubernetes::CreateRequest({"/api/v1", "namespaces", "v1", "Namespace"}, "",
                                          object.dump())),
       "making namespace " + name);
}

std::string TextOf(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace lanekeeper::e2e
