// The command `simulate`, without its flags: files in, report and files out.
#pragma once

#include <chrono>
#include <ostream>
#include <string>
#include <vector>

#include "worker-runtime/base/result.h"

namespace lanekeeper::simulate {

struct SimulateOptions {
  std::string pool_file;         // A manifest with one WorkerPool.
  std::string trace_file;        // "-": standard input.
  std::string format = "plain";  // plain | azure-llm | alibaba-genai
  double speed_up = 1;
  double seconds_per_request = 0.2;
  double seconds_per_token = 0.03;
  std::vector<std::string> routes;  // "type=lane"
  std::vector<std::string> splits;  // "60s=lane": jobs that take so long or longer.
  std::string cold_start = "30s";   // Of every lane.
  std::vector<std::string> policies{"lanekeeper", "keda-tuned", "keda-default", "clairvoyant"};
  std::string keda_grace = "30s";
  std::string shared;    // A lane. Empty: lanes only.
  std::string csv_file;  // Empty: none. The same for the plot.
  std::string svg_file;
};

// Writes the table to `out`, and the files. kInvalid names the option, field or line.
Result<void> RunSimulate(const SimulateOptions& options, std::ostream& out);

}  // namespace lanekeeper::simulate
