#include "cli/completion/completion.h"

#include <algorithm>
#include <array>
#include <utility>

namespace lanekeeper::completion {
namespace {

// A word of its own in bash: --state=dead comes as three.
constexpr std::string_view kSign = "=";

// Values of a flag that are always the same, by the name of its type.
std::vector<std::string> ValuesOf(const std::string& type) {
  if (type == "FORMAT") return {"json", "table", "wide", "yaml"};
  if (type == "STATE") {
    return {"cancelled", "dead", "done", "moved", "parked", "running", "waiting"};
  }
  if (type == "SHELL") return {"bash", "fish", "zsh"};
  return {};
}

Names NamesOf(const std::string& type) {
  if (type == "POOL") return Names::kPools;
  if (type == "LANE") return Names::kLanes;
  if (type.find("LANE") != std::string::npos) return Names::kPoolsOrLanes;
  return type == "FILE" || type == "DIR" || type == "PATH" ? Names::kFiles : Names::kNone;
}

bool TakesValue(const CLI::Option& option) { return option.get_expected_max() > 0; }

const CLI::Option* FlagOf(const CLI::App& app, const std::string& word) {
  const std::string name = word.substr(0, word.find('='));
  return app.get_option_no_throw(name);
}

const CLI::App* SubcommandOf(const CLI::App& app, const std::string& word) {
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (sub->check_name(word)) return sub;
  }
  return nullptr;
}

// Where the words before the last one lead.
struct Place {
  const CLI::App* app = nullptr;
  const CLI::Option* value_of = nullptr;  // The flag whose value comes next.
  std::size_t positionals = 0;            // Given so far.
};

Place Walk(const CLI::App& app, const std::vector<std::string>& words) {
  Place place{.app = &app};
  for (std::size_t n = 0; n + 1 < words.size(); ++n) {
    const std::string& word = words[n];
    if (word == kSign && place.value_of != nullptr) continue;
    if (std::exchange(place.value_of, nullptr) != nullptr) continue;
    if (word.size() > 1 && word.front() == '-') {
      const CLI::Option* flag = FlagOf(*place.app, word);
      const bool has_value = word.find('=') != std::string::npos;
      if (flag != nullptr && TakesValue(*flag) && !has_value) place.value_of = flag;
    } else if (const CLI::App* sub = SubcommandOf(*place.app, word); sub != nullptr) {
      place = {.app = sub};
    } else {
      ++place.positionals;
    }
  }
  return place;
}

const CLI::Option* PositionalAt(const CLI::App& app, std::size_t index) {
  const CLI::Option* last = nullptr;
  for (const CLI::Option* option : app.get_options()) {
    if (!option->get_positional()) continue;
    last = option;
    if (index-- == 0) return option;
  }
  // The last one may take many.
  return last != nullptr && last->get_items_expected_max() > 1 ? last : nullptr;
}

void AddType(const CLI::Option& option, Candidates& found) {
  // What checks it is told behind a colon.
  std::string type = option.get_type_name();
  type.resize(std::min(type.find(':'), type.size()));
  // A place that says no more than its name.
  if (option.get_positional() && type == "TEXT") {
    if (option.get_name(true) == "pool") type = "POOL";
    if (option.get_name(true) == "lane") type = "POOL/LANE";
  }
  found.words = ValuesOf(type);
  found.names = NamesOf(type);
}

void AddFlags(const CLI::App& app, Candidates& found) {
  for (const CLI::Option* option : app.get_options()) {
    if (option->get_group().empty()) continue;
    for (const std::string& name : option->get_lnames()) found.words.push_back("--" + name);
  }
}

void AddCommandsOf(const CLI::App& app, Candidates& found) {
  for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; })) {
    if (!sub->get_group().empty()) found.words.push_back(sub->get_name());
  }
}

constexpr std::string_view kBash =
    R"(# bash completion of PROGRAM; source it, or put it where bash-completion looks.
_lanekeeper_complete() {
  local lines last
  mapfile -t lines < <(PROGRAM __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null)
  [ ${#lines[@]} -gt 0 ] || return
  last="${lines[-1]}"
  unset 'lines[-1]'
  COMPREPLY=("${lines[@]}")
  if [ "$last" = ":0" ] && [ ${#lines[@]} -eq 0 ]; then
    mapfile -t COMPREPLY < <(compgen -f -- "${COMP_WORDS[COMP_CWORD]}")
  fi
}
complete -F _lanekeeper_complete PROGRAM
)";

constexpr std::string_view kZsh = R"(#compdef PROGRAM
# zsh completion of PROGRAM; put it as _PROGRAM into a folder of $fpath, or source it.
_lanekeeper_complete() {
  local -a lines
  lines=("${(@f)$(PROGRAM __complete "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  local last="${lines[-1]}"
  lines[-1]=()
  [[ "$PREFIX" == -*=* ]] && compset -P '*='
  if [[ "$last" == ":0" && ${#lines} -eq 0 ]]; then
    _files
  else
    compadd -a lines
  fi
}
if [[ "${funcstack[1]}" == "_PROGRAM" ]]; then
  _lanekeeper_complete "$@"
else
  compdef _lanekeeper_complete PROGRAM
fi
)";

constexpr std::string_view kFish =
    R"(# fish completion of PROGRAM; put it as PROGRAM.fish into ~/.config/fish/completions, or source it.
function __lanekeeper_complete
  set -l typed (commandline -ct)
  set -l words (commandline -opc) "$typed"
  set -l flag (string match -r -- '^--?[^=]+=' "$typed")
  set -l lines (PROGRAM __complete $words[2..-1] 2>/dev/null)
  set -q lines[1]; or return
  if test "$lines[-1]" = ":0"; and test (count $lines) -eq 1
    set -l value (string replace -- "$flag" "" "$typed")
    printf '%s\n' "$flag"(__fish_complete_path "$value")
    return
  end
  test (count $lines) -gt 1; and printf '%s\n' "$flag"$lines[1..-2]
end
complete -c PROGRAM -f -a '(__lanekeeper_complete)'
)";

}  // namespace

Candidates Complete(const CLI::App& app, const std::vector<std::string>& words) {
  Candidates found;
  std::string last = words.empty() ? std::string() : words.back();
  Place place = Walk(app, words);
  if (place.value_of != nullptr && last == kSign) last.clear();
  if (const std::size_t sign = last.find(kSign);
      place.value_of == nullptr && last.starts_with('-') && sign != std::string::npos) {
    const CLI::Option* flag = FlagOf(*place.app, last);
    if (flag != nullptr && TakesValue(*flag)) {
      place.value_of = flag;
      last.erase(0, sign + 1);
    }
  }
  if (place.value_of != nullptr) {
    AddType(*place.value_of, found);
  } else if (!last.empty() && last.front() == '-') {
    AddFlags(*place.app, found);
  } else {
    if (const CLI::Option* positional = PositionalAt(*place.app, place.positionals)) {
      AddType(*positional, found);
    }
    if (place.positionals == 0) AddCommandsOf(*place.app, found);
  }
  std::erase_if(found.words, [&](const std::string& word) { return !word.starts_with(last); });
  std::sort(found.words.begin(), found.words.end());
  found.begin = std::move(last);
  return found;
}

std::string ScriptFor(std::string_view shell, const std::string& program) {
  std::string_view text;
  if (shell == "bash") text = kBash;
  if (shell == "zsh") text = kZsh;
  if (shell == "fish") text = kFish;
  constexpr std::string_view kPlace = "PROGRAM";
  std::string script(text);
  for (std::size_t at = 0; (at = script.find(kPlace, at)) != std::string::npos;) {
    script.replace(at, kPlace.size(), program);
    at += program.size();
  }
  return script;
}

}  // namespace lanekeeper::completion
