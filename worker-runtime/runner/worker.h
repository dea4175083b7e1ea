// A worker process: handlers, and a lane to run them for. The C++ API of Lanekeeper.
//
//   int main() {
//     auto options = lanekeeper::ReadWorkerOptions();
//     if (!options) { …print options.error().message…; return 2; }
//     lanekeeper::Worker worker(*options);
//     worker.Handle("thumbnail", [](lanekeeper::Job& job) -> lanekeeper::Outcome {
//       if (!MakeThumbnail(job.payload())) return lanekeeper::Failed{"decoding the image"};
//       return lanekeeper::Done{};
//     });
//     return worker.Run();
//   }
#pragma once

#include <memory>
#include <string>

#include "worker-runtime/base/stop_signal.h"
#include "worker-runtime/job/handler_registry.h"
#include "worker-runtime/runner/worker_options.h"

namespace lanekeeper {

namespace nats {
class Connection;
}
namespace runner {
class CrashBoard;
class Runner;
}  // namespace runner

class Worker {
 public:
  // Make it in main, before the first thread: it takes over SIGTERM and SIGINT, and forks. The
  // process that was started stays behind as the supervisor (supervisor.h) and never returns from
  // here; unless options.supervise is false.
  explicit Worker(WorkerOptions options);
  ~Worker();

  // See HandlerRegistry. Before Run.
  void Handle(std::string type, Handler handler);
  void HandleAny(Handler handler);

  // Obeys "drain", "undrain" and "end" as requests on WorkerControlSubject, answered with a report.
  // Runs jobs until it has drained because of "end", or until SIGTERM or SIGINT; then it drains:
  // running jobs go on for the grace, what has not started goes back at once. A second signal ends
  // the process at once, with 128 + its number. Returns the exit code: 0 after a drain, 1 when it
  // could not start (the log says why). A handler that does not stop when told to ends the process
  // without a return from here, with 1.
  int Run();

 private:
  int RunUntilDrained(runner::Runner& runner, nats::Connection& connection);

  StopSignal signals_;
  const WorkerOptions options_;
  std::unique_ptr<runner::CrashBoard> board_;
  HandlerRegistry handlers_;
};

}  // namespace lanekeeper
