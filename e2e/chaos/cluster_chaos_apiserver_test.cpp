// The short form of lanekeeper-chaos-cluster: one node is killed, then all are restarted in turns.
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>

#include "e2e/chaos/cluster_parts.h"
#include "worker-runtime/telemetry/telemetry_server.h"

namespace lanekeeper::e2e {
namespace {

TEST(ClusterChaosTest, NothingIsLostOrInterruptedWhileNodesComeAndGo) {
  telemetry::SizeThreadPool(8);
  std::signal(SIGPIPE, SIG_IGN);
  std::string folder =
      (std::filesystem::temp_directory_path() / "lanekeeper-cluster-XXXXXX").string();
  ASSERT_NE(mkdtemp(folder.data()), nullptr);
  {
    ClusterStage stage(folder);
    // On a machine that is 20 times slower everything is seen later.
    ClusterParts parts(stage, std::chrono::seconds(20));
    stage.AwaitHealthy();
    parts.NodeLost(std::chrono::seconds(1));
    parts.RollingRestart();
    for (const Bar& bar : parts.Judge()) {
      // No test depends on time.
      if (bar.unit == "ms") continue;
      EXPECT_TRUE(Holds(bar)) << bar.name << " is " << bar.value << ": " << bar.how << "; logs in "
                              << folder;
    }
  }
  if (HasFailure()) return;
  std::error_code ignored;
  std::filesystem::remove_all(folder, ignored);
  std::filesystem::remove(folder + ".lock", ignored);
}

}  // namespace
}  // namespace lanekeeper::e2e
