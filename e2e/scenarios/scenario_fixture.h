// What every scenario has: a namespace of its own, removed at its end, and an account of the pool
// when it failed.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <string>
#include <vector>

#include "e2e/scenarios/harness.h"

namespace lanekeeper::e2e {

class ScenarioTest : public testing::Test {
 protected:
  void SetUp() override {
    pool_namespace = "e2e-" + std::to_string(getpid()) + "-" + std::to_string(++count_);
  }

  void TearDown() override {
    if (HasFailure()) Explain();
    RemoveNamespace(cluster, jobs, pool_namespace);
  }

  void Explain() {
    for (const std::vector<std::string>& what : std::vector<std::vector<std::string>>{
             {"get", "workerpools,deployments,pods", "-n", pool_namespace, "-o", "wide"},
             {"get", "workerpools", "-n", pool_namespace, "-o", "jsonpath={.items[*].status}"},
             {"get", "events", "-n", pool_namespace, "--sort-by=.lastTimestamp"},
             {"logs", "-n", "lanekeeper-system", "deployment/lanekeeper-operator", "--tail=60"}}) {
      std::string text = cluster.Kubectl(what).out;
      if (text.size() > 12000) text.erase(0, text.size() - 12000);
      std::printf("--- kubectl %s %s\n%s\n", what[0].c_str(), what[1].c_str(), text.c_str());
    }
  }

  std::vector<std::string> MyStreams() { return StreamsOf(jobs, pool_namespace); }

  LaneKey Key(const std::string& lane) const { return {pool_namespace, "media", lane}; }
  Json Pool() const { return cluster.Get("workerpool", pool_namespace, "media"); }
  int Replicas(const std::string& lane) const {
    const Json deployment = cluster.Get("deployment", pool_namespace, "media-" + lane);
    return deployment.is_object() ? deployment["spec"].value("replicas", 1) : -1;
  }
  Json Condition(const std::string& type) const {
    const Json pool = Pool();
    const Json::json_pointer path("/status/conditions");
    if (!pool.is_object() || !pool.contains(path)) return Json::object();
    for (const Json& condition : pool.at(path)) {
      if (condition.value("type", "") == type) return condition;
    }
    return Json::object();
  }
  bool IsReady() const { return Condition("Ready").value("status", "") == "True"; }

  void ApplyPool(const std::string& lanes, const std::string& spec_extra = "") {
    ASSERT_TRUE(cluster.Apply(PoolManifest(pool_namespace, "media", lanes, spec_extra)));
    ASSERT_TRUE(Await("pool is Ready", [this] { return IsReady(); }));
  }

  Cluster cluster;
  Jobs jobs{cluster};
  std::string pool_namespace;

 private:
  static inline int count_ = 0;
};

}  // namespace lanekeeper::e2e
