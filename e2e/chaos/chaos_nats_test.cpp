// The short form of `make chaos-runtime`: fewer jobs, the same bars.
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "e2e/chaos/scenarios.h"

namespace lanekeeper::e2e {
namespace {

constexpr int kJobs = 300;

class ChaosTest : public testing::Test {
 protected:
  ChaosTest() {
    std::signal(SIGPIPE, SIG_IGN);
    folder_ = (std::filesystem::temp_directory_path() / "lanekeeper-chaos-XXXXXX").string();
    if (mkdtemp(folder_.data()) == nullptr) throw std::runtime_error("making " + folder_);
  }
  ~ChaosTest() override {
    std::error_code ignored;
    if (!HasFailure()) std::filesystem::remove_all(folder_, ignored);
  }
  ScenarioOptions Options(const std::string& name) const {
    return {.name = name, .jobs = kJobs, .folder = folder_};
  }
  void ExpectAllHold(const std::vector<Bar>& bars) const {
    for (const Bar& bar : bars) {
      EXPECT_TRUE(Holds(bar)) << bar.name << " is " << bar.value << " (" << bar.how
                              << "); logs: " << folder_;
    }
  }

  std::string folder_;
};

TEST_F(ChaosTest, NoJobIsLostWhenWorkersAreKilled) {
  ExpectAllHold(KillWorkers(Options("workers-killed")));
}

TEST_F(ChaosTest, NoJobIsLostWhenTheServerIsKilled) {
  ExpectAllHold(KillServer(Options("server-killed")));
}

TEST_F(ChaosTest, AWorkerThatSleptThroughItsLeaseChangesNothing) {
  ExpectAllHold(PauseWorkers(Options("workers-paused")));
}

}  // namespace
}  // namespace lanekeeper::e2e
