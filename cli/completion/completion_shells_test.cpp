// The scripts in the shells they are for, where those are installed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "cli/completion/completion.h"
#include "worker-runtime/handlers/child_process.h"

namespace lanekeeper::completion {
namespace {

using testing::ElementsAre;

// Only a shell that hangs reaches it. As timeout(1) takes it.
constexpr const char* kShellDeadline = "300";

class ShellTest : public testing::Test {
 protected:
  ShellTest() {
    std::string path = (std::filesystem::temp_directory_path() / "lanekeeper-XXXXXX").string();
    folder_ = mkdtemp(path.data());
    std::filesystem::create_directory(folder_ + "/files");
    std::ofstream(folder_ + "/files/manifest.yaml") << "a: 1\n";
  }
  ~ShellTest() override { std::filesystem::remove_all(folder_); }

  static bool Has(const std::string& shell) {
    return handlers::ResolveProgram(shell, handlers::OwnPath()).has_value();
  }
  void Write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ + "/" + name) << text;
  }
  // Its output. It finds our lanekeeper, and nothing of the person who runs the test.
  std::vector<std::string> Run(const std::vector<std::string>& command) const {
    const std::string bin = std::filesystem::read_symlink("/proc/self/exe").parent_path().string();
    handlers::Command run{
        .program = "/usr/bin/env",
        .arguments = {"env", "-i", "PATH=" + bin + ":" + handlers::OwnPath(), "HOME=" + folder_,
                      "TERM=dumb", "LC_ALL=C.UTF-8", "timeout", kShellDeadline},
        .environment = {}};
    run.arguments.insert(run.arguments.end(), command.begin(), command.end());
    std::vector<std::string> lines;
    const auto ended = handlers::RunChild(
        run, "", {.on_line = [&](std::string_view line) { lines.emplace_back(line); }});
    EXPECT_TRUE(ended) << ended.error().message;
    EXPECT_EQ(ended ? ended->status.code : -1, 0) << testing::PrintToString(lines);
    return lines;
  }

  std::string folder_;
};

TEST_F(ShellTest, FishCompletes) {
  if (!Has("fish")) GTEST_SKIP() << "there is no fish";
  Write("script", ScriptFor("fish", "lanekeeper"));
  const auto completed = [this](const std::string& line) {
    return Run({"fish", "--no-config", "-c", "source $argv[1]; complete -C $argv[2]",
                folder_ + "/script", line});
  };
  EXPECT_THAT(completed("lanekeeper jo"), ElementsAre("jobs"));
  EXPECT_THAT(completed("lanekeeper jobs -o "), ElementsAre("json", "table", "wide", "yaml"));
  EXPECT_THAT(completed("lanekeeper jobs --state d"), ElementsAre("dead", "done"));
  EXPECT_THAT(completed("lanekeeper jobs --state=d"), ElementsAre("--state=dead", "--state=done"));
  EXPECT_THAT(completed("lanekeeper completion z"), ElementsAre("zsh"));
  const std::string file = folder_ + "/files/manifest.yaml";
  EXPECT_THAT(completed("lanekeeper submit media --file " + folder_ + "/files/m"),
              ElementsAre(file));
  EXPECT_THAT(completed("lanekeeper submit media --file=" + folder_ + "/files/m"),
              ElementsAre("--file=" + file));
  EXPECT_THAT(completed("lanekeeper submit media --key x"), ElementsAre());
}

// A zsh that somebody sits at, with the script where compinit looks for it. Each argument is typed
// and completed with Tab; what then stands in the line is printed. Nothing waits for a time: zpty
// reads until what is expected has come.
constexpr const char* kTypist = R"(zmodload zsh/zpty
zpty -b shell zsh -f -i
zpty -w shell "PS1=; fpath=($FOLDER \$fpath); autoload -U compinit; compinit -u -D"
zpty -w shell 'bindkey "^I" menu-complete'
zpty -w shell 'show() { zle -I; print -r -- "LINE""[$BUFFER]END"; BUFFER= }; zle -N show'
zpty -w shell 'bindkey "^T" show; print REA""DY'
zpty -r shell said '*READY*' || exit 1
for line in "$@"; do
  zpty -w -n shell "$line"$'\t\x14'
  zpty -r shell said '*LINE*END*' || exit 1
  said="${said##*LINE\[}"
  print -r -- "${said%%\]END*}"
done
zpty -d shell
)";

TEST_F(ShellTest, ZshCompletes) {
  if (!Has("zsh")) GTEST_SKIP() << "there is no zsh";
  Write("_lanekeeper", ScriptFor("zsh", "lanekeeper"));
  Write("typist", "FOLDER=$1; shift\n" + std::string(kTypist));
  EXPECT_THAT(
      Run({"zsh", "-f", folder_ + "/typist", folder_, "lanekeeper jo", "lanekeeper jobs -o ",
           "lanekeeper jobs --state d", "lanekeeper jobs --state=d", "lanekeeper completion z",
           "lanekeeper submit media --file " + folder_ + "/files/m",
           "lanekeeper submit media --file=" + folder_ + "/files/m",
           "lanekeeper submit media --key x"}),
      ElementsAre("lanekeeper jobs ", "lanekeeper jobs -o json", "lanekeeper jobs --state dead",
                  "lanekeeper jobs --state=dead", "lanekeeper completion zsh ",
                  "lanekeeper submit media --file " + folder_ + "/files/manifest.yaml ",
                  "lanekeeper submit media --file=" + folder_ + "/files/manifest.yaml ",
                  "lanekeeper submit media --key x"));
}

}  // namespace
}  // namespace lanekeeper::completion
