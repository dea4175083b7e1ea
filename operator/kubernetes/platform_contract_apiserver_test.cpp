// KubernetesPlatform keeps the contract of every Platform, on a real API server. Nothing makes pods
// of Deployments there, nor removes what was deleted in the foreground.
#include "operator/control/platform_contract_test.h"

#include "operator/kubernetes/platform_apiserver_fixture.h"

namespace lanekeeper::kubernetes {
namespace {

// The fixture as an object, so that the typed tests of another room can have one.
class KubernetesStage final : private PlatformApiServerTest {
 public:
  static constexpr bool kHasWorkers = false;
  KubernetesStage() {
    SetUpTestSuite();
    SetUp();
  }
  ~KubernetesStage() override { TearDown(); }
  Platform& platform() { return *platform_; }
  WorkerPool pool() const { return pool_; }

 private:
  void TestBody() override {}
};

}  // namespace
}  // namespace lanekeeper::kubernetes

namespace lanekeeper {

INSTANTIATE_TYPED_TEST_SUITE_P(Kubernetes, PlatformContractTest, kubernetes::KubernetesStage);

}  // namespace lanekeeper
