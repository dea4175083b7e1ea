#include "worker-runtime/job/worker_report.h"

namespace lanekeeper {

std::string_view NameOf(WorkerState state) {
  switch (state) {
    case WorkerState::kRunning:
      return "running";
    case WorkerState::kDraining:
      return "draining";
    case WorkerState::kDrained:
      return "drained";
    case WorkerState::kStopped:
      break;
  }
  return "stopped";
}

}  // namespace lanekeeper
