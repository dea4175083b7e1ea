// What of completion touches the world: the names that a gateway knows, with a deadline.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <thread>

#include "cli/completion/completion.h"
#include "cli/remote/remote.h"
#include "worker-runtime/base/completion.h"

namespace lanekeeper::completion {
namespace {

using nlohmann::json;

constexpr std::chrono::milliseconds kNamesDeadline{1'000};

constexpr const char* kExamples = R"(Examples:
  source <(lanekeeper completion bash)
  lanekeeper completion zsh > "${fpath[1]}/_lanekeeper"
  lanekeeper completion fish > ~/.config/fish/completions/lanekeeper.fish

kubectl 1.26 and newer completes `kubectl lanekeeper` by itself, through the program
kubectl_complete-lanekeeper that is installed beside this one.)";

// Which gateway, by the flags that were typed so far.
cli::TargetFlags FlagsIn(const std::vector<std::string>& words) {
  CLI::App app;
  cli::TargetFlags flags;
  std::string state_of_jobs;
  if (!words.empty() && words.front() == "jobs") app.add_option("--state", state_of_jobs);
  cli::AddTargetFlags(app, flags);
  app.allow_extras();
  std::vector<std::string> given(words.rbegin(), words.rend());  // As CLI11 takes them.
  if (!given.empty()) given.erase(given.begin());                // The one that is typed now.
  try {
    app.parse(given);
  } catch (const CLI::ParseError&) {
    // Half a command line is the usual thing here.
  }
  return flags;
}

std::vector<std::string> NamesIn(const json& pools, Names names) {
  std::vector<std::string> found;
  for (const json& pool : pools.value("pools", json::array())) {
    const std::string name = pool.value("namespace", "") + "/" + pool.value("pool", "");
    if (names != Names::kLanes) found.push_back(name);
    for (const json& lane : pool.value("lanes", json::array())) {
      if (names == Names::kLanes) found.push_back(lane.get<std::string>());
      if (names == Names::kPoolsOrLanes) found.push_back(name + "/" + lane.get<std::string>());
    }
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

std::vector<std::string> AskForNames(const std::vector<std::string>& words, Names names) {
  cli::TargetFlags flags = FlagsIn(words);
  flags.timeout = kNamesDeadline;
  flags.unattended = true;
  const auto remote = cli::Remote::Find(flags);
  if (!remote) return {};
  const auto pools = (*remote)->Get("/v1/pools");
  if (!pools || !pools->is_object()) return {};
  return NamesIn(*pools, names);
}

// Somebody waits at a prompt: after a second there are no names, whatever is still going on.
std::vector<std::string> NamesInTime(const std::vector<std::string>& words, Names names,
                                     std::ostream& out) {
  Completion answered;
  const std::jthread watch([&] {
    if (answered.WaitUntil(std::chrono::steady_clock::now() + kNamesDeadline, {})) return;
    out << ":4" << std::endl;
    std::_Exit(0);
  });
  std::vector<std::string> found = AskForNames(words, names);
  answered.Set();
  return found;
}

}  // namespace

void PrintCandidates(const CLI::App& app, const std::vector<std::string>& words,
                     std::ostream& out) {
  const Candidates found = Complete(app, words);
  for (const std::string& word : found.words) out << word << '\n';
  if (found.names == Names::kFiles) {
    out << ":0" << std::endl;
    return;
  }
  if (found.names != Names::kNone) {
    for (const std::string& name : NamesInTime(words, found.names, out)) {
      if (name.starts_with(found.begin)) out << name << '\n';
    }
  }
  out << ":4" << std::endl;
}

void AddCompletionCommand(cli::Commands commands) {
  const auto shell = std::make_shared<std::string>();
  CLI::App* app =
      commands.app.add_subcommand("completion", "Prints what makes a shell complete commands");
  app->footer(kExamples);
  app->add_option("shell", *shell, "bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}))
      ->type_name("SHELL");
  app->callback([shell, &run = commands.run] {
    run = [shell] {
      std::cout << ScriptFor(*shell, "lanekeeper");
      return cli::Exit::kOk;
    };
  });
}

}  // namespace lanekeeper::completion
