#include "operator/simulate/simulate_flags.h"

namespace lanekeeper::simulate {

void AddSimulateFlags(CLI::App& app, SimulateOptions& options) {
  app.add_option("--pool", options.pool_file, "manifest with one WorkerPool")->required();
  app.add_option("--trace", options.trace_file, "job trace; - reads standard input")->required();
  app.add_option("--format", options.format, "plain, azure-llm or alibaba-genai")
      ->capture_default_str();
  app.add_option("--speed-up", options.speed_up, "clock of the arrivals runs so much faster")
      ->capture_default_str();
  app.add_option("--seconds-per-request", options.seconds_per_request, "azure-llm")
      ->capture_default_str();
  app.add_option("--seconds-per-token", options.seconds_per_token, "azure-llm, generated tokens")
      ->capture_default_str();
  app.add_option("--route", options.routes, "type=lane; others go to the first lane");
  app.add_option("--split", options.splits, "60s=lane: jobs that take so long or longer");
  app.add_option("--cold-start", options.cold_start, "from asking for a worker to its first job")
      ->capture_default_str();
  app.add_option("--policy", options.policies,
                 "lanekeeper, keda-tuned, keda-default, clairvoyant; the default is all");
  app.add_option("--keda-grace", options.keda_grace, "what a pod has to end its job when cut")
      ->capture_default_str();
  app.add_option("--shared", options.shared,
                 "also all jobs in one lane, with this lane's settings");
  app.add_option("--csv", options.csv_file, "write the table there");
  app.add_option("--svg", options.svg_file, "plot backlog and workers there");
}

}  // namespace lanekeeper::simulate
