// The commands about lanes, workers and dead letters as people run them: the program itself,
// against a `lanekeeper up` with its gateway, nats-server and example workers.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/command/command.h"
#include "cli/up/testing/commands_test.h"
#include "operator/local/state_folder.h"

namespace lanekeeper::lanes {
namespace {

using cli::Exit;
using nlohmann::json;
using testing::HasSubstr;
using testing::Not;
using up::Ran;

class LaneCommandsTest : public up::CommandsTest {
 protected:
  // Of a command that may be given twice: again while somebody who has to answer stands still.
  Ran Answered(const std::string& arguments) {
    Ran ran;
    static_cast<void>(Await([&] {
      ran = Local(arguments);
      return ran.exit != Exit::kUnreachable;
    }));
    return ran;
  }
  json Json(const std::string& arguments) {
    const Ran ran = Answered(arguments + " -o json");
    EXPECT_EQ(ran.exit, Exit::kOk) << ran.err;
    return json::parse(ran.out, nullptr, false);
  }
  // The only worker, once it says that it runs `jobs`.
  json AwaitWorkerWith(std::size_t jobs) {
    json worker;
    EXPECT_TRUE(Await([&] {
      const json workers = Json("workers media/short");
      if (workers.size() != 1 || workers[0]["jobs"].size() != jobs) return false;
      worker = workers[0];
      return true;
    }));
    return worker;
  }
};

TEST_F(LaneCommandsTest, LanesAreShownAndTheDecisionsOfOneAreExplained) {
  StartWithGateway("jobs: {timeout: 1h}, workers: {max: 1, slots: 2}");
  PublishHeld("held", "go");
  ASSERT_TRUE(AwaitRunning(1));
  ASSERT_TRUE(Await([&] { return Json("lanes").at(0).value("running", 0) == 1; }));
  const Ran lanes = Local("lanes media");
  EXPECT_THAT(lanes.out, HasSubstr("LANE                WAITING"));
  EXPECT_THAT(lanes.out, HasSubstr("\nstudio/media/short  "));

  // The ledger is written by and by. A queue that did not answer for a moment leaves a doubt, which
  // is explained as well.
  Ran explained;
  const bool said = Await([&] {
    explained = Local("explain media/short -n 100");
    EXPECT_EQ(explained.exit, Exit::kOk) << explained.err;
    return explained.out.find("Scaled from 0 to 1 worker") != std::string::npos;
  });
  EXPECT_TRUE(said) << explained.out;
  EXPECT_THAT(explained.out, HasSubstr("Lane studio/media/short\n"));
  EXPECT_THAT(explained.out, HasSubstr("1 running"));
  EXPECT_THAT(explained.out, HasSubstr("Rule by rule"));
  EXPECT_THAT(explained.out, testing::AnyOf(HasSubstr("  demand"), HasSubstr("  doubt")));
  EXPECT_EQ(Json("explain media/short -n 1")["decisions"].size(), 1u);
  std::printf("%s", Local("explain media/short").out.c_str());  // For whoever reads the log.
  EXPECT_EQ(Local("explain media/fast").exit, Exit::kNotFound);
  for (const char* command :
       {"explain media", "pause media", "resume media", "workers drain media somebody"}) {
    const Ran ran = Local(command);
    EXPECT_EQ(ran.exit, Exit::kUsage) << command;
    EXPECT_THAT(ran.err, HasSubstr("which lane? name one of studio/media/short")) << command;
  }
  EXPECT_THAT(Local("workers media/fast").err, HasSubstr("media has no lane fast; it has short"));
  EXPECT_THAT(Local("workers nosuch/media").err, HasSubstr("no pool nosuch/media"));
  EXPECT_EQ(Local("lanes nosuch").exit, Exit::kNotFound);
  EXPECT_EQ(Local("explain media/short -n 1000").exit, Exit::kUsage);
  Release("go");
}

TEST_F(LaneCommandsTest, APausedLaneStartsNoJobsUntilItGoesOn) {
  StartWithGateway("workers: {min: 1, max: 1}");
  const Ran paused = Answered("pause media/short --for 30m --reason 'driver update'");
  ASSERT_EQ(paused.exit, Exit::kOk) << paused.err;
  EXPECT_THAT(paused.out, HasSubstr("Lane studio/media/short is paused until "));
  EXPECT_TRUE(Await(
      [&] { return Local("explain media/short").out.find("driver update") != std::string::npos; }));
  Publish("one", "sleep", "1");
  EXPECT_EQ(JobsLeft(), 1);
  EXPECT_TRUE(Results().empty());
  EXPECT_EQ(Json("resume media/short")["lane"], "short");
  EXPECT_TRUE(Await([&] { return JobsLeft() == 0; }));
  EXPECT_EQ(Local("pause media/short --for never").exit, Exit::kUsage);
  EXPECT_EQ(Local("pause media/short --for 1h --until 2030-01-01T00:00:00Z").exit, Exit::kUsage);
}

TEST_F(LaneCommandsTest, ADrainedWorkerFinishesItsJobAndIsStartedAnew) {
  StartWithGateway("jobs: {timeout: 1h}, workers: {min: 1, max: 1, slots: 1}");
  PublishHeld("held", "go");
  const json worker = AwaitWorkerWith(1);
  EXPECT_EQ(worker["jobs"][0]["id"], "held");
  EXPECT_EQ(worker["jobs"][0]["type"], "hold");
  const std::string name = worker["worker"];
  EXPECT_THAT(Local("workers").out, HasSubstr(name));
  const pid_t before = OnlyWorker();
  ASSERT_NE(before, 0);

  const Ran drained = Answered("workers drain media/short " + name);
  ASSERT_EQ(drained.exit, Exit::kOk) << drained.err;
  EXPECT_THAT(drained.out, HasSubstr("It is started anew when its running job has ended."));
  EXPECT_EQ(Local("workers drain media/short nobody").exit, Exit::kNotFound);
  Publish("next", "sleep", "1");
  EXPECT_EQ(OnlyWorker(), before) << "its job goes on";
  Release("go");
  ASSERT_TRUE(Await([&] { return OnlyWorker() != 0 && OnlyWorker() != before; }));
  ASSERT_TRUE(Await([&] { return JobsLeft() == 0; }));
  const auto results = Results();
  ASSERT_TRUE(results.contains("held"));
  EXPECT_EQ(results.at("held").size(), 1u);
  EXPECT_EQ(results.at("held")[0]["delivery"], 1) << "it was not cut";
  EXPECT_TRUE(results.contains("next"));
  EXPECT_THAT(up_->said(), Not(HasSubstr("JobsInterrupted")));
}

TEST_F(LaneCommandsTest, DeadLettersAreListedShownSentAgainAndDiscarded) {
  StartWithGateway("workers: {min: 1, max: 1}, jobs: {attempts: 1}");
  EXPECT_THAT(Local("dead").out, HasSubstr("No dead letters."));
  for (const char* id : {"a", "b", "c"}) Publish(id, "no-such-type", "payload of it");
  ASSERT_TRUE(Await([&] { return Json("dead media").size() == 3; }));
  EXPECT_EQ(Json("dead list media --reason unknown-type").size(), 3u);
  EXPECT_THAT(Local("dead list media --lane short").out, HasSubstr("no-such-type"));
  const json groups = Json("dead groups media");
  ASSERT_EQ(groups.size(), 1u);
  EXPECT_EQ(groups[0]["count"], 3);

  const Ran shown = Local("dead show media a");
  EXPECT_THAT(shown.out, HasSubstr("Job:"));
  EXPECT_THAT(shown.out, HasSubstr("no-such-type"));
  EXPECT_EQ(Local("dead show media a --payload").out, "payload of it");
  EXPECT_EQ(Local("dead show media nobody").exit, Exit::kNotFound);
  for (const char* command :
       {"list media", "groups media", "replay media --all", "discard media --yes --all"}) {
    const Ran ran = Local(std::string("dead ") + command + " --lane nolane");
    EXPECT_EQ(ran.exit, Exit::kNotFound) << command << ran.out;
    EXPECT_THAT(ran.err, HasSubstr("media has no lane nolane; it has short")) << command;
  }
  for (const char* command : {"list", "groups", "replay", "discard --yes"}) {
    const Ran ran = Local(std::string("dead ") + command + " media --group 0123456789abcdef");
    EXPECT_EQ(ran.exit, Exit::kNotFound) << command << ran.out;
    EXPECT_THAT(ran.err, HasSubstr("no dead letters of group 0123456789abcdef in studio/media; "))
        << command;
  }
  EXPECT_EQ(Local("dead list media --type nosuch").exit, Exit::kOk) << "no type has to be known";

  EXPECT_EQ(Local("dead replay media").exit, Exit::kUsage) << "which?";
  const Ran misled = Local("dead replay media --all --to-lane fast");
  EXPECT_EQ(misled.exit, Exit::kNotFound);
  EXPECT_THAT(misled.err, HasSubstr("media has no lane fast; it has short"));
  const Ran replayed = Local("dead replay media --group " +
                             groups[0]["fingerprint"].get<std::string>() + " --rate 1000");
  EXPECT_EQ(replayed.exit, Exit::kOk) << replayed.err << replayed.out;
  EXPECT_THAT(replayed.out, HasSubstr("3 dead letters were sent again."));
  ASSERT_TRUE(Await([&] { return Json("dead media").size() == 3; })) << "they die again";

  EXPECT_EQ(Local("dead discard media --all").exit, Exit::kUsage) << "without --yes";
  EXPECT_EQ(Local("dead discard media a").exit, Exit::kOk);
  EXPECT_EQ(Json("dead media").size(), 2u);
  EXPECT_EQ(Local("dead discard media --all --yes").exit, Exit::kOk);
  EXPECT_EQ(Json("dead media").size(), 0u);
}

TEST_F(LaneCommandsTest, WatchedLanesAreALineAChangeUntilTheEnd) {
  StartWithGateway("workers: {min: 1, max: 1}");
  up::Lanekeeper watch({"lanes", "media", "--watch", "--local", "--state", folder_ + "/state"});
  ASSERT_TRUE(Await(
      [&] { return watch.said().find("studio/media/short  waiting 0") != std::string::npos; }));
  watch.Signal(SIGINT);
  const auto ended = watch.Wait();
  ASSERT_TRUE(ended);
  EXPECT_EQ(ended->code, 0);
  EXPECT_EQ(Local("lanes --watch -o json").exit, Exit::kUsage);
}

// A listening socket that nobody reads from: connections come about, answers do not.
class SilentGateway {
 public:
  SilentGateway() : socket_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    address_.sin_family = AF_INET;
    address_.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address_;
    auto* address = reinterpret_cast<sockaddr*>(&address_);
    EXPECT_EQ(bind(socket_.get(), address, size), 0);
    EXPECT_EQ(listen(socket_.get(), 8), 0);
    EXPECT_EQ(getsockname(socket_.get(), address, &size), 0);
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(ntohs(address_.sin_port)); }
  void AwaitCall() const {
    pollfd waiting{.fd = socket_.get(), .events = POLLIN, .revents = 0};
    ASSERT_EQ(poll(&waiting, 1, 60'000), 1);
  }

 private:
  handlers::Fd socket_;
  sockaddr_in address_{};
};

TEST_F(LaneCommandsTest, CtrlCEndsACommandThatWaitsForItsAnswer) {
  const std::vector<std::vector<std::string>> commands{{"lanes"},
                                                       {"explain", "media/short"},
                                                       {"workers", "media"},
                                                       {"dead", "replay", "media", "1"}};
  for (std::vector<std::string> command : commands) {
    const SilentGateway silent;
    command.insert(command.end(), {"--gateway", silent.url(), "--timeout", "1h"});
    up::Lanekeeper waiting(command);
    silent.AwaitCall();
    waiting.Signal(SIGINT);
    const auto ended = waiting.Wait();
    ASSERT_TRUE(ended) << command[0];
    EXPECT_EQ(ended->signal, SIGINT) << command[0];
  }
}

TEST_F(LaneCommandsTest, EveryCommandSaysHowItIsUsed) {
  for (const char* command :
       {"lanes", "explain", "pause", "resume", "workers", "workers drain", "dead", "dead list",
        "dead groups", "dead show", "dead replay", "dead discard"}) {
    WriteManifest("workers: {max: 1}");
    const Ran help = Local(std::string(command) + " --help");
    EXPECT_EQ(help.exit, Exit::kOk) << command;
    EXPECT_THAT(help.out, HasSubstr(std::string("  lanekeeper ") + command + " ")) << command;
  }
}

}  // namespace
}  // namespace lanekeeper::lanes
