// What stands behind a job in the tests of handlers: remembers what the handler said.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "worker-runtime/job/job.h"

namespace lanekeeper::handlers {

class FakeJobContext final : public JobContext {
 public:
  bool StopRequested() const override { return stop; }
  void Progress(double fraction, std::string_view note) override {
    progress.emplace_back(fraction, note);
    if (stop_at_progress) stop = true;
  }
  Result<void> Checkpoint(std::string_view bytes) override {
    checkpoints.emplace_back(bytes);
    return checkpoint_answer;
  }

  std::atomic<bool> stop{false};
  bool stop_at_progress = false;  // The order to stop comes when the handler is surely running.
  Result<void> checkpoint_answer;
  std::vector<std::pair<double, std::string>> progress;
  std::vector<std::string> checkpoints;
};

}  // namespace lanekeeper::handlers
