// `lanekeeper submit` and `jobs` as people run them: the program itself, against a `lanekeeper up`
// with its gateway, nats-server and example worker.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/command/command.h"
#include "cli/up/testing/commands_test.h"
#include "operator/local/state_folder.h"

namespace lanekeeper::jobs {
namespace {

using cli::Exit;
using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
using up::Ran;

class JobsTest : public up::CommandsTest {
 protected:
  void StartWithGateway() {
    CommandsTest::StartWithGateway("workers: {min: 1, max: 1, slots: 2}, jobs: {attempts: 1}");
  }
  std::string Submit(const std::string& arguments) {
    const Ran ran = Local("submit media --lane short " + arguments);
    EXPECT_EQ(ran.exit, Exit::kOk) << ran.err;
    return ran.out.substr(0, ran.out.find('\n'));
  }
};

TEST_F(JobsTest, ASubmitPrintsTheIdAndAWaitWhatCameOfIt) {
  StartWithGateway();
  const std::string id = Submit("--type sleep 1");
  EXPECT_THAT(id, HasSubstr("LK_studio_media_short."));

  const Ran done = Local("submit studio/media --lane short --type sleep - --wait 5m", "1\n");
  EXPECT_EQ(done.exit, Exit::kOk) << done.err;
  EXPECT_TRUE(json::parse(done.out).contains("worker")) << done.out;

  const Ran dead = Local("submit media --lane short --type poison x --wait 5m");
  EXPECT_EQ(dead.exit, Exit::kFailed);
  EXPECT_THAT(dead.err, HasSubstr("this job is poison"));

  const Ran held =
      Local("submit media --lane short --type hold " + GatePath("go") + " --wait 100ms");
  EXPECT_EQ(held.exit, Exit::kNotEnded) << held.err;
  EXPECT_THAT(held.err, AllOf(HasSubstr("LK_studio_media_short."), HasSubstr("jobs watch")));
  Release("go");

  const Ran followed = Local("submit media --lane short --type sleep 1 --follow");
  EXPECT_EQ(followed.exit, Exit::kOk) << followed.err;
  EXPECT_THAT(followed.out, AllOf(HasSubstr("LK_studio_media_short."), HasSubstr("done")));

  const Ran documents = Local("submit media --lane short --type sleep 1 --follow -o yaml");
  EXPECT_EQ(documents.exit, Exit::kOk) << documents.err;
  EXPECT_THAT(documents.out, AllOf(StartsWith("---\n"), HasSubstr("\nstate: done\n"),
                                   Not(HasSubstr("LK_studio_media_short.\n"))));

  const json said = json::parse(Local("submit media --lane short --type sleep 1 -o json").out);
  EXPECT_EQ(said["lane"], "short");
}

TEST_F(JobsTest, WhatIsWrongIsSaidBeforeAnythingIsSent) {
  StartWithGateway();
  const Ran line = Local("submit media --bulk -",
                         "{\"type\":\"sleep\"}\n\n{\"type\":\"sleep\",\"colour\":\"red\"}\n");
  EXPECT_EQ(line.exit, Exit::kUsage);
  EXPECT_THAT(line.err, HasSubstr("line 3: colour: does not exist"));
  EXPECT_EQ(Local("submit media --wait soon").exit, Exit::kUsage);
  EXPECT_EQ(Local("submit media --header x").exit, Exit::kUsage);
  EXPECT_EQ(Local("submit media x --file y").exit, Exit::kUsage);
  EXPECT_EQ(Local("jobs --since yesterday").exit, Exit::kUsage);
  EXPECT_THAT(Local("jobs").out, HasSubstr("No jobs of studio/media are known"));
  EXPECT_THAT(Local("jobs --state dead").out, HasSubstr("studio/media are like that"));
  const Ran nope = Local("submit nope x");
  EXPECT_EQ(nope.exit, Exit::kNotFound);
  EXPECT_THAT(nope.err, HasSubstr("there are studio/media"));
  EXPECT_EQ(Local("jobs show LK_studio_media_short.99").exit, Exit::kNotFound);
  for (const char* command : {"jobs media --lane nolane", "submit media x --lane nolane"}) {
    const Ran ran = Local(command);
    EXPECT_EQ(ran.exit, Exit::kNotFound) << command << ran.out;
    EXPECT_THAT(ran.err, HasSubstr("nolane")) << command;
  }
  // The only pool is meant.
  const Ran other = Local("jobs show scan-17");
  EXPECT_EQ(other.exit, Exit::kNotFound);
  EXPECT_THAT(other.err, HasSubstr("studio/media knows no job \"scan-17\""));
  const Ran nobody = Run("jobs --local --state-folder " + folder_ + "/elsewhere");
  EXPECT_EQ(nobody.exit, Exit::kUnreachable);
  EXPECT_THAT(nobody.err, HasSubstr("lanekeeper up"));
}

TEST_F(JobsTest, ManyAreHandedInAndListedAndOneThatWaitsIsCancelled) {
  StartWithGateway();
  for (int n = 0; n < 2; ++n) Submit("--type hold " + GatePath("go"));
  const Ran bulk = Local("submit media --lane short --bulk -",
                         "{\"type\":\"sleep\",\"payload\":\"1\"}\n{\"type\":\"other\"}\n");
  EXPECT_EQ(bulk.exit, Exit::kOk) << bulk.err;
  EXPECT_THAT(bulk.out, HasSubstr("2 submitted, 0 refused"));

  const Ran others = Local("jobs media --type other -o json");
  ASSERT_EQ(others.exit, Exit::kOk) << others.err;
  const json jobs = json::parse(others.out);
  ASSERT_EQ(jobs.size(), 1U);
  EXPECT_EQ(jobs[0]["state"], "waiting");
  const std::string id = jobs[0]["id"];
  EXPECT_THAT(Local("jobs list studio/media --limit 3").out,
              AllOf(HasSubstr("ID"), HasSubstr("LK_studio_media_short.")));
  const Ran cancelled = Local("jobs cancel " + id);
  EXPECT_EQ(cancelled.exit, Exit::kOk) << cancelled.err;
  EXPECT_THAT(Local("jobs show " + id).out, HasSubstr("cancelled"));
  const Ran watched = Local("jobs watch " + id);
  EXPECT_EQ(watched.exit, Exit::kFailed) << watched.err;
  EXPECT_EQ(Local("jobs retry " + id).exit, Exit::kUsage);
  Release("go");
}

TEST_F(JobsTest, ADeadJobIsExplainedAndSentAgain) {
  StartWithGateway();
  const std::string id = Submit("--type poison x");
  EXPECT_EQ(Local("jobs watch " + id).exit, Exit::kFailed);
  EXPECT_THAT(Local("jobs show " + id).out, AllOf(HasSubstr("dead"), HasSubstr("poison")));
  // Its record says so first, its letter is stored a moment later.
  ASSERT_TRUE(Await([&] { return Local("dead media -o json").out.find(id) != std::string::npos; }));
  const Ran logs = Local("jobs logs " + id);
  EXPECT_EQ(logs.exit, Exit::kOk) << logs.err;
  EXPECT_THAT(logs.out, AllOf(HasSubstr("run 1"), HasSubstr("worker"), HasSubstr("poison")));
  const Ran retried = Local("jobs retry " + id);
  EXPECT_EQ(retried.exit, Exit::kOk) << retried.err;
  EXPECT_THAT(retried.out, HasSubstr("is sent again"));

  // Handed in past the gateway: the id does not say the pool.
  Publish("scan-17", "poison", "x");
  ASSERT_TRUE(Await([&] { return Local("jobs show scan-17 --pool media").exit == Exit::kOk; }));
  EXPECT_EQ(Local("jobs watch scan-17 --pool media").exit, Exit::kFailed);
  const Ran elsewhere = Local("jobs watch scan-17 --pool nosuch");
  EXPECT_EQ(elsewhere.exit, Exit::kNotFound);
  EXPECT_THAT(elsewhere.err, HasSubstr("no pool nosuch"));

  const std::string done = Submit("--type sleep 1");
  EXPECT_EQ(Local("jobs watch " + done).exit, Exit::kOk);
  const Ran refused = Local("jobs retry " + done);
  EXPECT_EQ(refused.exit, Exit::kUsage);
  EXPECT_THAT(refused.err, HasSubstr("only dead jobs are retried; it is done"));
}

TEST_F(JobsTest, ABashCompletesWithTheScript) {
  std::ofstream(folder_ + "/script") << Run("completion bash").out;
  std::ofstream(folder_ + "/asks") << R"(PATH="$1:$PATH"
source "$2"
shift 2
COMP_WORDS=(lanekeeper "$@")
COMP_CWORD=$#
_lanekeeper_complete
printf '%s\n' "${COMPREPLY[@]}"
)";
  const auto completed = [&](const std::string& words) {
    const std::string folder =
        std::filesystem::read_symlink("/proc/self/exe").parent_path().string();
    const std::string command = "timeout " + std::string(up::kCommandDeadline) + " bash " +
                                folder_ + "/asks " + folder + " " + folder_ + "/script " + words +
                                " >" + folder_ + "/completed 2>&1";
    EXPECT_EQ(std::system(command.c_str()), 0) << words;
    return ReadWholeFile(folder_ + "/completed").value_or("");
  };
  EXPECT_EQ(completed("submi"), "submit\n");
  EXPECT_EQ(completed("jobs -o ''"), "json\ntable\nwide\nyaml\n");
  EXPECT_EQ(completed("jobs --state = d"), "dead\ndone\n");
  EXPECT_EQ(completed("completion z"), "zsh\n");
  EXPECT_EQ(completed("submit media --file " + folder_ + "/scri"), folder_ + "/script\n");
}

TEST_F(JobsTest, AShellIsToldThePoolsAndKubectlTheSame) {
  StartWithGateway();
  const std::string local = " --timeout 5m --local --state-folder " + folder_ + "/state";
  EXPECT_TRUE(Await([&] {  // A loaded machine may need more than the second that a prompt waits.
    return Run("__complete jobs" + local + " ''").out.find("studio/media\n") != std::string::npos;
  }));
  const Ran help = Run("jobs --help", "", "kubectl-lanekeeper");
  EXPECT_EQ(help.exit, Exit::kOk);
  EXPECT_THAT(help.out, AllOf(HasSubstr("kubectl lanekeeper jobs"), HasSubstr("Examples:")));
  EXPECT_THAT(Run("completion bash").out, HasSubstr("complete -F"));
  EXPECT_THAT(Run("__complete s").out, AllOf(HasSubstr("submit\n"), Not(HasSubstr("jobs"))));
}

}  // namespace
}  // namespace lanekeeper::jobs
