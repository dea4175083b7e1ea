#include "cli/completion/completion.h"

#include <gmock/gmock.h>

namespace lanekeeper::completion {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class CompleteTest : public testing::Test {
 protected:
  void SetUp() override {
    CLI::App* jobs = app_.add_subcommand("jobs", "");
    jobs->add_option("pool", text_)->type_name("POOL");
    jobs->add_option("--state", text_)->type_name("STATE");
    jobs->add_option("--lane", text_)->type_name("LANE");
    jobs->add_flag("--local", flag_);
    jobs->add_option("-o,--output", text_)
        ->check(CLI::IsMember({"json", "yaml"}))
        ->type_name("FORMAT");
    jobs->add_subcommand("show", "")->add_option("id", list_)->type_name("ID");
    jobs->add_subcommand("shown", "")->group("");
    app_.add_subcommand("completion", "")
        ->add_option("shell", text_)
        ->check(CLI::IsMember({"bash", "zsh", "fish"}))
        ->type_name("SHELL");
    CLI::App* explain = app_.add_subcommand("explain", "")->group("");
    explain->add_option("lane", text_);
    explain->add_option("pool", text_);
    CLI::App* pause = app_.add_subcommand("pause", "");
    pause->add_option("lane", list_)->type_name("POOL/LANE");
    pause->add_option("-f,--file", text_)->type_name("FILE");
  }
  Candidates At(const std::vector<std::string>& words) const { return Complete(app_, words); }

  CLI::App app_{"", "lanekeeper"};
  std::string text_;
  std::vector<std::string> list_;
  bool flag_ = false;
};

TEST_F(CompleteTest, CommandsComeFirst) {
  EXPECT_THAT(At({""}).words, ElementsAre("completion", "jobs", "pause"));
  EXPECT_THAT(At({"p"}).words, ElementsAre("pause"));
  EXPECT_THAT(At({}).words, ElementsAre("completion", "jobs", "pause"));
}

TEST_F(CompleteTest, BelowACommandItsOwnCommandsAndWhatItsPlaceTakes) {
  const Candidates found = At({"jobs", ""});
  EXPECT_THAT(found.words, ElementsAre("show"));  // The hidden one is not told.
  EXPECT_EQ(found.names, Names::kPools);
  EXPECT_EQ(At({"pause", "x"}).names, Names::kPoolsOrLanes);
}

TEST_F(CompleteTest, ADashIsForFlags) {
  EXPECT_THAT(At({"jobs", "--l"}).words, ElementsAre("--lane", "--local"));
  EXPECT_THAT(At({"jobs", "-"}).words, Contains("--state"));
}

TEST_F(CompleteTest, AFlagsValueIsWhatItsTypeKnows) {
  EXPECT_THAT(At({"jobs", "--state", "d"}).words, ElementsAre("dead", "done"));
  EXPECT_EQ(At({"jobs", "--lane", ""}).names, Names::kLanes);
  EXPECT_EQ(At({"pause", "--file", ""}).names, Names::kFiles);
  EXPECT_EQ(At({"pause", "-f", ""}).names, Names::kFiles);
  EXPECT_THAT(At({"jobs", "-o", ""}).words, ElementsAre("json", "table", "wide", "yaml"));
  EXPECT_THAT(At({"completion", "b"}).words, ElementsAre("bash"));
}

TEST_F(CompleteTest, APlaceWithoutATypeTakesWhatItsNameSays) {
  EXPECT_EQ(At({"explain", ""}).names, Names::kPoolsOrLanes);
  EXPECT_EQ(At({"explain", "a/b", ""}).names, Names::kPools);
}

TEST_F(CompleteTest, BashTakesTheSignBehindAFlagForAWord) {
  EXPECT_THAT(At({"jobs", "--state", "=", "d"}).words, ElementsAre("dead", "done"));
  EXPECT_THAT(At({"jobs", "--state", "="}).words, Contains("running"));
  EXPECT_THAT(At({"jobs", "--state", "=", "dead", "s"}).words, ElementsAre("show"));
}

TEST_F(CompleteTest, OtherShellsLeaveTheSignInTheWord) {
  const Candidates states = At({"jobs", "--state=d"});
  EXPECT_THAT(states.words, ElementsAre("dead", "done"));
  EXPECT_EQ(states.begin, "d");
  EXPECT_EQ(At({"jobs", "--lane="}).names, Names::kLanes);
  EXPECT_EQ(At({"jobs", "--lane="}).begin, "");
  EXPECT_THAT(At({"jobs", "--local="}).words, IsEmpty());
  EXPECT_THAT(At({"jobs", "--nosuch=d"}).words, IsEmpty());
}

TEST_F(CompleteTest, AValueThatWasGivenIsNoCommand) {
  EXPECT_EQ(At({"jobs", "--lane", "show", ""}).names, Names::kPools);
  EXPECT_THAT(At({"jobs", "--lane=x", "s"}).words, ElementsAre("show"));
  EXPECT_THAT(At({"jobs", "--local", "s"}).words, ElementsAre("show"));
}

TEST_F(CompleteTest, APlaceThatIsTakenIsNotOfferedAgain) {
  const Candidates found = At({"jobs", "studio/media", ""});
  EXPECT_THAT(found.words, IsEmpty());
  EXPECT_EQ(found.names, Names::kNone);
  EXPECT_EQ(At({"pause", "a/b", ""}).names, Names::kPoolsOrLanes);  // It takes many.
}

TEST(ScriptTest, EveryShellCallsTheProgram) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const std::string script = ScriptFor(shell, "lanekeeper");
    EXPECT_THAT(script, HasSubstr("lanekeeper __complete")) << shell;
    EXPECT_THAT(script, testing::Not(HasSubstr("PROGRAM"))) << shell;
  }
  EXPECT_EQ(ScriptFor("tcsh", "lanekeeper"), "");
}

}  // namespace
}  // namespace lanekeeper::completion
