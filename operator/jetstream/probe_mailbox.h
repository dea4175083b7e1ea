// What other threads hand to the probe thread. Any thread posts, one takes.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <stop_token>
#include <utility>
#include <variant>
#include <vector>

#include "operator/control/ports.h"
#include "worker-runtime/job/worker_report.h"
#include "worker-runtime/nats/connection.h"

namespace lanekeeper {

struct AddLane {
  ProbedLane lane;
};
struct RemoveLane {
  LaneKey key;
};
struct ProbeAnswer {
  std::uint64_t token = 0;
  nats::Message message;
};
// Something was published to a lane: sample it at once.
struct LaneHint {
  LaneKey key;
  bool from_tap = false;
};
struct HeardReport {
  LaneKey key;
  std::unique_ptr<const WorkerReport> report;  // Apart: it is many times as large as other mail.
};
using ProbeMail =
    std::variant<AddLane, RemoveLane, ProbeAnswer, LaneHint, HeardReport, nats::ConnectionChange>;

class ProbeMailbox {
 public:
  // From the network, so bounded: beyond it mail is dropped, and the next regular sample makes up
  // for it. Adding and removing lanes is never dropped.
  static constexpr std::size_t kMailMax = 200'000;

  void Post(ProbeMail mail) {
    {
      const std::lock_guard lock(mutex_);
      const bool ours =
          std::holds_alternative<AddLane>(mail) || std::holds_alternative<RemoveLane>(mail);
      if (mail_.size() >= kMailMax && !ours) return;
      mail_.push_back(std::move(mail));
      if (mail_.size() > 1) return;  // Already woken.
    }
    posted_.notify_one();
  }

  // All mail in the order it was posted; empty when none came for `wait`, or on stop.
  std::vector<ProbeMail> Take(std::stop_token stop, std::chrono::nanoseconds wait) {
    std::unique_lock lock(mutex_);
    posted_.wait_for(lock, std::move(stop), wait, [&] { return !mail_.empty(); });
    return std::exchange(mail_, {});
  }

 private:
  std::mutex mutex_;
  std::condition_variable_any posted_;
  std::vector<ProbeMail> mail_;
};

}  // namespace lanekeeper
