// The command of a lane's workers on this machine, from the pod template of its manifest. Pure.
//
// Of the container named "worker", else of the first: command, args, and the variables of env that
// have a value; $(NAME) in them is replaced as a kubelet would. Everything else of a pod means
// nothing to a process and is named in `left_out`.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "operator/control/worker_pool.h"
#include "worker-runtime/base/result.h"
#include "worker-runtime/handlers/process.h"

namespace lanekeeper {

using Variables = std::vector<std::pair<std::string, std::string>>;

struct WorkerCommand {
  std::vector<std::string> words;      // Not yet expanded; the program's name first.
  Variables of_template;               // Not yet expanded; in the template's order.
  Variables settings;                  // LANEKEEPER_*: win over all others.
  std::chrono::milliseconds grace{0};  // From SIGTERM to SIGKILL.
  std::vector<std::string> left_out;   // Sentences for people; none names the lane.
  bool operator==(const WorkerCommand&) const = default;
};

// kInvalid: the template has no container, or it relies on the command of its image.
Result<WorkerCommand> ReadWorkerCommand(const WorkerPool& pool, const Lane& lane,
                                        const std::string& nats_url);

// What starts the worker of that name. `inherited` is our own environment ("NAME=value"): all but
// its LANEKEEPER_* goes to the worker. Programs are looked up in `path`, which the worker gets as
// its PATH, too. kInvalid: there is no such program.
Result<handlers::Command> CommandFor(const WorkerCommand& command, const std::string& worker,
                                     const std::vector<std::string>& inherited,
                                     const std::string& path);

// Replaces $(NAME) by the variable's value and $$ by $; what is not known stays as it stands.
std::string ExpandVariables(const std::string& text, const Variables& variables);

}  // namespace lanekeeper
