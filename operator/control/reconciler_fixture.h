// A pool of two lanes on fakes that act as the real ones do, for the tests of the reconciler.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "operator/control/conditions.h"
#include "operator/control/fakes.h"
#include "operator/control/reconciler.h"

namespace lanekeeper {

inline LaneSample Jobs(std::int64_t waiting, std::int64_t running = 0, int reporting = 0,
                       int busy = 0) {
  LaneSample sample;
  sample.doubt = scaling::Doubt::kNone;
  sample.waiting = waiting;
  sample.ack_pending = running;
  sample.jobs_running = reporting > 0 ? running : 0;
  sample.workers_reporting = reporting;
  sample.workers_busy = busy;
  return sample;
}

inline LaneSample Doubtful(scaling::Doubt doubt) {
  LaneSample sample;
  sample.doubt = doubt;
  return sample;
}

class Counts final : public ReconcileObserver {
 public:
  void OnReleased(const LaneKey&, int workers) override { released += workers; }
  void OnInterrupted(const LaneKey&, int jobs) override { interrupted += jobs; }
  int released = 0;
  int interrupted = 0;
};

class KeptLedger final : public Ledger {
 public:
  void Record(const LedgerEntry& entry) override { entries.push_back(entry); }
  std::vector<LedgerEntry> entries;
};

class ReconcilerTest : public testing::Test {
 protected:
  ReconcilerTest() {
    pool.key = {"studio", "media"};
    pool.uid = "uid-1";
    pool.generation = 1;
    pool.has_finalizer = true;
    for (const char* name : {"short", "long"}) {
      Lane lane;
      lane.name = name;
      lane.queue.stream = JobStreamName({"studio", "media", name});
      lane.queue.consumer = kConsumerName;
      lane.workers.max = 20;
      lane.scaling = {.jobs_per_worker = 16, .scale_down_window = std::chrono::seconds(15)};
      lane.template_json = R"({"spec":{}})";
      pool.lanes.push_back(lane);
    }
    probe.Set(Key("short"), Jobs(0));
    probe.Set(Key("long"), Jobs(0));
  }

  static LaneKey Key(const std::string& lane) { return {"studio", "media", lane}; }

  Reconciler::Next Pass() { return reconciler.Reconcile(pool); }
  // Passes, a little apart, until a release has taken all its steps.
  void Passes(int count = 12) {
    for (int n = 0; n < count; ++n) {
      Pass();
      Wait(std::chrono::milliseconds(250));
    }
  }
  int Replicas(const std::string& lane) { return platform.workloads.at(Key(lane)).state.replicas; }
  const PoolStatus& Status() { return platform.statuses.at(pool.key); }
  const Condition& Get(std::string_view type) {
    const Condition* found = FindCondition(Status().conditions, type);
    if (found == nullptr) {
      static const Condition kAbsent{.type = "absent"};
      return kAbsent;
    }
    return *found;
  }
  void Wait(std::chrono::milliseconds time) { clock.Advance(time); }

  WorkerPool pool;
  FakePlatform platform;
  FakeQueues queues;
  FakeLaneProbe probe{&platform};
  FakeClock clock;
  Counts counts;
  KeptLedger ledger;
  FakePoolBoard board;
  Reconciler reconciler{platform, queues, probe, clock, &counts, &ledger, &board};
};

}  // namespace lanekeeper
