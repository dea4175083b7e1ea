// lanekeeper-simulate: replays a job trace against a pool's manifest.
#include <CLI/CLI.hpp>
#include <iostream>

#include "operator/simulate/command.h"
#include "operator/simulate/simulate_flags.h"

int main(int argc, char** argv) {
  using namespace lanekeeper::simulate;
  SimulateOptions options;
  CLI::App app(kSimulateDescription);
  AddSimulateFlags(app, options);
  CLI11_PARSE(app, argc, argv);

  const lanekeeper::Result<void> result = RunSimulate(options, std::cout);
  if (result) return 0;
  std::cerr << "lanekeeper-simulate: " << result.error().message << '\n';
  return 2;
}
