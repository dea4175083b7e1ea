// A lane that a scenario disturbs: its streams on a server of the scenario's own, its worker
// processes, and the checker that says afterwards what became of the jobs.
//
// One thread. Throws std::runtime_error when something fails that no scenario meant to break.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <list>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "e2e/bench/child.h"
#include "e2e/bench/figures.h"
#include "e2e/chaos/jobs.h"
#include "worker-runtime/nats/connection.h"
#include "worker-runtime/nats/jetstream.h"

namespace lanekeeper::e2e {

struct ChaosLaneOptions {
  std::string scenario;          // Its name.
  std::string url;               // Of the server, or of all nodes.
  std::filesystem::path folder;  // For logs; made when it is not there.
  std::chrono::milliseconds ack_wait{2000};
  int replicas = 1;    // Of every stream.
  Environment worker;  // Settings of every worker, on top of the usual ones.
};

// A worker as it was started: a supervisor, and the process that runs the jobs as its child. It may
// have ended by itself.
struct ChaosWorker {
  std::string name;
  std::filesystem::path log;
  Child process;

  void Signal(int signal) const;  // To both, as what happens to a machine does.
  void KillJobs() const;          // SIGKILL to the child alone, as the kernel does to save memory.
};

class ChaosLane {
 public:
  explicit ChaosLane(ChaosLaneOptions options);
  ~ChaosLane();

  const LaneKey& key() const { return key_; }
  const nats::JetStream& jetstream() const { return jetstream_; }
  const ChaosLaneOptions& options() const { return options_; }

  // Workers are "w1", "w2", … in the order of their start.
  ChaosWorker& StartWorker(const Environment& changes = {});
  std::list<ChaosWorker>& workers() { return workers_; }
  ChaosWorker& RandomWorker();
  void Remove(const ChaosWorker& worker);  // SIGKILL to both.
  // Starts workers in place of those that ended until there are `count`.
  void KeepWorkers(int count);

  // Deletes the consumer and makes it again: every message that is still there is delivered again.
  void RemakeConsumer();

  // -1: the server does not say.
  std::int64_t Left() const;     // Messages in the lane.
  std::int64_t Waiting() const;  // Of these, never delivered.
  std::int64_t Running() const;  // Of these, delivered and not settled.
  std::int64_t Results() const;  // Runs that ended in success.
  // What the handlers wrote about the run with that number, counted from 1. Any thread.
  nlohmann::json Result(std::uint64_t number) const;
  // The job's record as it is stored; null when there is none.
  nlohmann::json RecordOf(const std::string& id) const;

  // Keeps `workers` running until the publisher has finished and the lane is empty. While jobs wait
  // for their first start, calls `disturb` every `every`, and says how it goes once a second. False
  // when the lane does not run empty for a long time.
  bool Drive(const Publisher& publisher, int workers, std::chrono::milliseconds every,
             const std::function<void()>& disturb);
  // Polls until it holds; throws after a long time, naming `what`.
  void Await(const std::string& what, const std::function<bool()>& holds) const;
  void Say(const std::string& text) const;

  // Runs lanekeeper-verify about `accepted`, and checks that exactly the jobs that must die are
  // dead letters. `faults` says what was done, `fault_count` how often; at least once is a bar too.
  std::vector<Bar> Judge(const std::vector<std::string>& accepted, const std::string& faults,
                         int fault_count);

 private:
  void MakeQueue();
  void MakeStreams();
  int WrongFates(const std::vector<std::string>& accepted) const;

  const ChaosLaneOptions options_;
  const LaneKey key_{"chaos", "pool", "lane"};
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
  std::unique_ptr<nats::Connection> connection_;
  nats::JetStream jetstream_;
  std::list<ChaosWorker> workers_;
  int workers_started_ = 0;
  std::mt19937 random_{std::random_device{}()};
};

}  // namespace lanekeeper::e2e
