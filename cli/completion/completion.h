// What a shell may put in a command's next place: commands and flags out of the tree of commands,
// and the names of pools and lanes that a gateway knows.
#pragma once

#include <CLI/CLI.hpp>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "cli/command/command.h"

namespace lanekeeper::completion {

// What else fits in the place, that the tree does not know.
enum class Names { kNone, kPools, kLanes, kPoolsOrLanes, kFiles };

struct Candidates {
  std::vector<std::string> words;  // Sorted; they begin with `begin`.
  Names names = Names::kNone;
  // What was typed of it: the last word, and of --state=de only the "de", as kubectl asks it of its
  // plugins.
  std::string begin;
  bool operator==(const Candidates&) const = default;
};
// `words`: after the program's name; the last is the one to complete, maybe empty. Pure.
Candidates Complete(const CLI::App& app, const std::vector<std::string>& words);

// For bash, zsh and fish; empty for another. `program`: its name, e.g. "lanekeeper".
std::string ScriptFor(std::string_view shell, const std::string& program);

// `lanekeeper completion SHELL`.
void AddCompletionCommand(cli::Commands commands);

// The first word of the hidden command that the scripts call.
inline constexpr const char* kCompleteWord = "__complete";
// One candidate a line; the last line is ":4", or ":0" where files fit, as kubectl reads it from
// its plugins. Ends the process when a gateway takes longer than a second.
void PrintCandidates(const CLI::App& app, const std::vector<std::string>& words, std::ostream& out);

}  // namespace lanekeeper::completion
