// lanekeeper-chaos-gateway: kills gateways and the nats-server under load, and shows that nothing
// that was answered 202 is lost and no key has two jobs.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "e2e/chaos/gateway_scenarios.h"

namespace {

using namespace lanekeeper::e2e;  // NOLINT: a main file.

constexpr const char* kDescription =
    "Kills gateways and the nats-server with SIGKILL under load, and reconciles afterwards what\n"
    "clients were answered with the jobs there were. Servers, worker and gateways are its own.\n"
    "\n"
    "Parts:\n"
    "  kills        plain, keyed and bulk submits while something dies at random moments\n"
    "  idempotency  64 clients with one key while a gateway dies, in rounds\n"
    "\n"
    "Prints one JSON line a bar, and as the last line those that matter most in one. Exit status:\n"
    "0 all hold, 1 one does not.";

void Run(const std::string& name, const std::function<std::vector<Bar>()>& part,
         std::vector<Bar>& bars) {
  try {
    for (Bar& bar : part()) bars.push_back(std::move(bar));
  } catch (const std::exception& error) {
    bars.push_back({.name = name + ": carried out",
                    .value = std::nan(""),
                    .unit = "times",
                    .bar = 1.0,
                    .how = error.what(),
                    .limit = Limit::kAtLeast});
  }
}

void PrintSummary(const std::vector<Bar>& bars, bool all) {
  nlohmann::ordered_json sums{{"accepted_lost", 0}, {"keys_with_two_jobs", 0}};
  for (const Bar& bar : bars) {
    for (auto& [name, sum] : sums.items()) {
      if (bar.name.ends_with(": " + name)) sum = sum.get<std::int64_t>() + std::llround(bar.value);
    }
  }
  std::printf("%s\n", nlohmann::ordered_json{{"bars", sums}, {"holds", all}}.dump().c_str());
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(kDescription, "lanekeeper-chaos-gateway");
  app.footer(
      "Examples:\n  lanekeeper-chaos-gateway\n"
      "  lanekeeper-chaos-gateway --only idempotency --rounds 10");
  std::string only;
  int kills = 200;
  int rounds = 50;
  int clients = 16;
  app.add_option("--only", only, "this part")->check(CLI::IsMember({"kills", "idempotency"}));
  app.add_option("--kills", kills, "of gateways and server")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--rounds", rounds, "of 64 clients with one key")
      ->capture_default_str()
      ->check(CLI::PositiveNumber);
  app.add_option("--clients", clients, "that make the load")
      ->capture_default_str()
      ->check(CLI::Range(1, 256));
  CLI11_PARSE(app, argc, argv);

  std::signal(SIGPIPE, SIG_IGN);
  std::string folder =
      (std::filesystem::temp_directory_path() / "lanekeeper-chaos-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) {
    std::fprintf(stderr, "lanekeeper-chaos-gateway: cannot make %s\n", folder.c_str());
    return 1;
  }
  const std::filesystem::path logs = folder;
  std::vector<Bar> bars;
  if (only != "idempotency") {
    Run(
        "kills", [&] { return KillGateways(kills, clients, logs / "kills"); }, bars);
  }
  if (only != "kills") {
    Run(
        "idempotency", [&] { return RaceForOneKey(rounds, logs / "idempotency"); }, bars);
  }
  std::printf("\n");
  const bool all = PrintBars(bars);
  PrintSummary(bars, all);
  std::error_code ignored;
  if (all) {
    std::filesystem::remove_all(folder, ignored);
  } else {
    std::fprintf(stderr, "logs of gateways, worker and checker: %s\n", folder.c_str());
  }
  return all ? 0 : 1;
}
