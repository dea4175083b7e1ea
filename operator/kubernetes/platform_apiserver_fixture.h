// A KubernetesPlatform on a real API server, and the pool "media" with the lanes short and gpu.
#pragma once

#include <memory>
#include <string>

#include "operator/kubernetes/apiserver_fixture.h"
#include "operator/kubernetes/kubernetes_platform.h"
#include "operator/kubernetes/worker_pool_json.h"

namespace lanekeeper::kubernetes {

class PlatformApiServerTest : public ApiServerTest {
 protected:
  void SetUp() override {
    ApiServerTest::SetUp();
    platform_ = std::make_unique<KubernetesPlatform>(
        *client_, clock_,
        KubernetesPlatform::Options{.only_namespace = namespace_, .nats_url = "nats://n:4222"});
    platform_->Start([](const PoolKey&) {});
    ASSERT_TRUE(Within(std::chrono::seconds(60), [&] { return platform_->synced(); }));
    pool_ = *WorkerPoolFromJson(CreatePool("media"));
  }
  nlohmann::json Deployment(const std::string& name) {
    return Do(GetRequest(kDeployments, {namespace_, name}));
  }
  nlohmann::json PoolObject() { return Do(GetRequest(kWorkerPools, {namespace_, "media"})); }
  const Lane& Short() const { return pool_.lanes[0]; }
  LaneKey ShortKey() const { return pool_.KeyOf(Short()); }

  SystemClock clock_;
  std::unique_ptr<KubernetesPlatform> platform_;
  WorkerPool pool_;
};

}  // namespace lanekeeper::kubernetes
