// The stand-in keeps the contract of the real ones.
#include "operator/control/fakes.h"
#include "operator/control/platform_contract_test.h"

namespace lanekeeper {
namespace {

class FakeStage {
 public:
  static constexpr bool kHasWorkers = true;
  Platform& platform() { return platform_; }
  WorkerPool pool() const {
    WorkerPool pool;
    pool.key = {"studio", "media"};
    pool.lanes.push_back({.name = "short"});
    return pool;
  }

 private:
  FakePlatform platform_;
};

INSTANTIATE_TYPED_TEST_SUITE_P(Fake, PlatformContractTest, FakeStage);

}  // namespace
}  // namespace lanekeeper
