// lanekeeper-chaos-runtime: breaks what a lane stands on, and shows that no job is lost.
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <vector>

#include "e2e/bench/figures.h"
#include "e2e/chaos/only_option.h"
#include "e2e/chaos/scenarios.h"

namespace {

using namespace lanekeeper::e2e;  // NOLINT: a main file.

std::string Description() {
  std::string text =
      "Breaks what a lane stands on while it works, and lets lanekeeper-verify say what became of\n"
      "its jobs. Each scenario has its own nats-server of the tool cache and real workers.\n"
      "\n"
      "Scenarios:\n";
  for (const Scenario& scenario : Scenarios()) {
    text += "  " + std::string(scenario.name) +
            std::string(18 - std::string(scenario.name).size(), ' ') + scenario.what + " (" +
            std::to_string(scenario.jobs) + " jobs)\n";
  }
  return text + "\nPrints one JSON line a bar at the end. Exit status: 0 all hold, 1 one does not.";
}

constexpr const char* kExamples =
    "Examples:\n"
    "  lanekeeper-chaos-runtime\n"
    "  lanekeeper-chaos-runtime --only workers-killed,server-killed --jobs 20000";

std::vector<Bar> Run(const Scenario& scenario, const ScenarioOptions& options) {
  std::printf("\n%s: %s, %d jobs\n", scenario.name, scenario.what, options.jobs);
  std::fflush(stdout);
  try {
    return scenario.run(options);
  } catch (const std::exception& error) {
    return {Bar{.name = options.name + ": carried out",
                .value = std::nan(""),
                .unit = "times",
                .bar = 1.0,
                .how = error.what(),
                .limit = Limit::kAtLeast}};
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(Description(), "lanekeeper-chaos-runtime");
  app.footer(kExamples);
  int jobs = 0;
  const OnlyOption only(app, Scenarios(), "scenarios");
  app.add_option("--jobs", jobs, "of each scenario")->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);

  const rlimit no_core{0, 0};  // Workers that crash on purpose leave nothing behind.
  setrlimit(RLIMIT_CORE, &no_core);
  std::signal(SIGPIPE, SIG_IGN);
  std::string folder =
      (std::filesystem::temp_directory_path() / "lanekeeper-chaos-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) {
    std::fprintf(stderr, "lanekeeper-chaos-runtime: cannot make %s\n", folder.c_str());
    return 1;
  }
  std::vector<Bar> bars;
  for (const Scenario& scenario : Scenarios()) {
    if (!only.Takes(scenario.name)) continue;
    const ScenarioOptions options{.name = scenario.name,
                                  .jobs = jobs > 0 ? jobs : scenario.jobs,
                                  .folder = std::filesystem::path(folder) / scenario.name};
    for (Bar& bar : Run(scenario, options)) bars.push_back(std::move(bar));
  }
  std::printf("\n");
  const bool all = PrintBars(bars);
  std::error_code ignored;
  if (all) {
    std::filesystem::remove_all(folder, ignored);
  } else {
    std::fprintf(stderr, "logs of workers and checker: %s\n", folder.c_str());
  }
  return all ? 0 : 1;
}
