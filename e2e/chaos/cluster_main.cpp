// lanekeeper-chaos-cluster: the whole product on three nodes of JetStream, which come and go.
#include <CLI/CLI.hpp>

#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "e2e/chaos/cluster_parts.h"
#include "e2e/chaos/only_option.h"
#include "worker-runtime/base/log.h"
#include "worker-runtime/telemetry/telemetry_server.h"

namespace {

using namespace lanekeeper::e2e;  // NOLINT: a main file.
using std::chrono::seconds;

struct Part {
  const char* name;
  const char* what;
  std::function<void(ClusterParts&)> run;
};

std::vector<Part> AllParts() {
  return {
      {"step-downs", "every leader steps down each second for 30 s",
       [](ClusterParts& parts) { parts.LeadersStepDown(seconds(30)); }},
      {"node-lost", "SIGKILL of the node that leads a lane's stream, back after 15 s",
       [](ClusterParts& parts) { parts.NodeLost(seconds(15)); }},
      {"rolling", "SIGTERM of one node after the other", &ClusterParts::RollingRestart},
      {"gateway-killed", "SIGKILL of one of two gateways", &ClusterParts::GatewayKilled},
      {"quorum-lost", "SIGKILL of two nodes, back after 10 s",
       [](ClusterParts& parts) { parts.QuorumLost(seconds(10)); }},
  };
}

}  // namespace

int main(int argc, char** argv) {
  lanekeeper::telemetry::SizeThreadPool(8);
  CLI::App app(
      "The whole product on three nodes of nats-server, a real API server, two operators, two "
      "gateways,\nworkers and clients: takes nodes away and gives them back under load, and shows "
      "that nothing accepted\nis lost, no worker with jobs in hand is taken away, and no replicas "
      "change while nothing is known.\nPrints one JSON line a bar. Exit status: 0 all hold, 1 one "
      "does not.",
      "lanekeeper-chaos-cluster");
  const std::vector<Part> all = AllParts();
  int times = 1;
  const OnlyOption only(app, all, "parts");
  app.add_option("--times", times, "each part so often")
      ->capture_default_str()
      ->check(CLI::Range(1, 100));
  CLI11_PARSE(app, argc, argv);

  std::signal(SIGPIPE, SIG_IGN);
  lanekeeper::log::SetLevel("warning");
  std::string folder =
      (std::filesystem::temp_directory_path() / "lanekeeper-cluster-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) return 2;
  bool hold = false;
  try {
    ClusterStage stage(folder);
    ClusterParts parts(stage);
    stage.AwaitHealthy();
    for (int n = 1; n <= times; ++n) {
      for (const Part& part : all) {
        if (!only.Takes(part.name)) continue;
        std::printf("\n%s %d: %s\n", part.name, n, part.what);
        std::fflush(stdout);
        part.run(parts);
      }
    }
    const std::vector<Bar> bars = parts.Judge();
    std::printf("\n");
    hold = PrintBars(bars);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "lanekeeper-chaos-cluster: %s\n", error.what());
  }
  std::error_code ignored;
  if (hold) {
    std::filesystem::remove_all(folder, ignored);
    std::filesystem::remove(folder + ".lock", ignored);
  } else {
    std::printf("logs: %s\n", folder.c_str());
  }
  return hold ? 0 : 1;
}
