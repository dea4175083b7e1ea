// What the parts of the desk share: the connection, the pools, and one thread for the few things
// that have to wait for NATS. Private to the desk.
#pragma once

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "worker-runtime/gateway/job_desk.h"
#include "worker-runtime/gateway/job_desk_queue.h"
#include "worker-runtime/nats/jetstream.h"

namespace lanekeeper::gateway {

// kJobNotFound for people.
Problem NoSuchJob(std::string_view pool_namespace, std::string_view pool, std::string_view id);

// Any thread. Outlives everything that was begun with Begin.
class DeskCore {
 public:
  // Something in hand: the core does not end while one is left.
  using InHand = std::shared_ptr<const DeskCore>;
  // A task is told when it will not be done.
  using Task = std::function<void(bool stopped)>;

  DeskCore(nats::Connection& connection_in, const PoolDirectory& pools_in,
           JobDeskOptions options_in);
  // Tells the tasks that wait, and waits for all that is in hand: no longer than its requests take.
  ~DeskCore();
  DeskCore(const DeskCore&) = delete;
  DeskCore& operator=(const DeskCore&) = delete;

  InHand Begin();
  // Does it on the thread that may wait; false, and nothing is done, when too much waits for that.
  bool Later(Task task);
  // Makes the records' bucket; waits.
  Result<void> MakeRecordBucket() const;

  nats::Connection& connection;
  const PoolDirectory& pools;
  const JobDeskOptions options;
  const DeskQueue queue;
  const nats::JetStream jetstream;

 private:
  void Run(const std::stop_token& stop);

  std::mutex mutex_;
  std::condition_variable_any changed_;
  std::deque<Task> tasks_;
  bool stopped_ = false;
  int in_hand_ = 0;
  std::jthread thread_;
};

}  // namespace lanekeeper::gateway
