// The short form of `make chaos-gateway`: fewer kills, the same bars.
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "e2e/chaos/gateway_scenarios.h"

namespace lanekeeper::e2e {
namespace {

class GatewayChaosTest : public testing::Test {
 protected:
  GatewayChaosTest() {
    std::signal(SIGPIPE, SIG_IGN);
    folder_ = (std::filesystem::temp_directory_path() / "lanekeeper-chaos-XXXXXX").string();
    if (mkdtemp(folder_.data()) == nullptr) throw std::runtime_error("making " + folder_);
  }
  ~GatewayChaosTest() override {
    std::error_code ignored;
    if (!HasFailure()) std::filesystem::remove_all(folder_, ignored);
  }
  void ExpectAllHold(const std::vector<Bar>& bars) const {
    for (const Bar& bar : bars) {
      EXPECT_TRUE(Holds(bar)) << bar.name << " is " << bar.value << " (" << bar.how
                              << "); logs: " << folder_;
    }
  }

  std::string folder_;
};

TEST_F(GatewayChaosTest, NothingAcceptedIsLostWhenGatewaysAndServerAreKilled) {
  ExpectAllHold(KillGateways(/*kills=*/6, /*clients=*/8, folder_));
}

TEST_F(GatewayChaosTest, OneKeyIsOneJobWhateverDiesMeanwhile) {
  ExpectAllHold(RaceForOneKey(/*rounds=*/5, folder_));
}

}  // namespace
}  // namespace lanekeeper::e2e
