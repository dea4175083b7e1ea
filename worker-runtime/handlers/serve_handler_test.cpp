#include "worker-runtime/handlers/serve_handler.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "worker-runtime/base/testing/eventually.h"
#include "worker-runtime/handlers/testing/fake_job_context.h"
#include "worker-runtime/handlers/testing/wait_ended.h"

namespace lanekeeper::handlers {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

// Does what the payload says. Its results name the process.
constexpr const char* kProgram = R"py(
import json, os, signal, sys, time
def say(**line): print(json.dumps(line), flush=True)
def hear(): return json.loads(sys.stdin.readline())
print("loading", file=sys.stderr, flush=True)
say(ready=True)
for line in iter(sys.stdin.readline, ""):
    job = json.loads(line)["job"]
    what = job.get("payload", "bytes")
    if what == "pid": say(outcome="done", result=str(os.getpid()))
    elif what == "echo": say(outcome="done", result=json.dumps(job))
    elif what == "bytes": say(outcome="done", result_base64=job["payload_base64"])
    elif what == "fail":
        print("no luck", file=sys.stderr, flush=True)
        say(outcome="failed", why="away", error_class="IOError", retry_after_ms=1500)
    elif what == "reject": say(outcome="rejected", why="bad")
    elif what == "steps":
        say(progress=0.4, note="page 12")
        say(checkpoint="page 12")
        say(outcome="done", result=json.dumps(hear()))
    elif what == "segv":
        print("last words", file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGSEGV)
    elif what == "exit": sys.exit(3)
    elif what == "outcome, then exit":
        say(outcome="done", result="good")
        sys.exit(0)
    elif what == "half a line":
        sys.stdout.write('{"outcome":')
        sys.stdout.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    elif what == "garbage": print("Loading checkpoint shards", flush=True)
    elif what == "garbage, then exit":
        print("Loading checkpoint shards", flush=True)
        os._exit(1)
    elif what == "two outcomes":
        lines = ({"outcome": "done", "result": result} for result in ("first", "second"))
        print("\n".join(map(json.dumps, lines)), flush=True)
    elif what == "close":
        os.close(1)
        time.sleep(1000)
    elif what == "until stopped":
        say(progress=0)
        assert hear() == {"stop": True}
        say(outcome="interrupted")
    elif what == "ignore the stop":
        say(progress=0)
        time.sleep(1000)
    elif what.startswith("big"): say(outcome="done", result=str(len(what)))
    elif what == "much":
        sys.stderr.write("x" * 1000000 + "\n")
        say(result="r" * 60000, progress=0.5)
        say(outcome="done")
)py";

class ServeHandlerTest : public testing::Test {
 protected:
  ServeHandlerTest() {
    std::signal(SIGPIPE, SIG_IGN);
    options_.command = {"python3", "-c", kProgram};
    options_.on_line = [this](const Job* job, std::string_view line) {
      const std::lock_guard lock(mutex_);
      lines_.push_back((job == nullptr ? "-" : job->id()) + ": " + std::string(line));
    };
  }

  Outcome Run(const std::string& payload, std::string checkpoint = "") {
    if (!handler_) handler_ = MakeServeHandler(options_).value();
    Job job({.payload = payload}, {.id = "j-1", .type = "t"},
            {.attempt = 2, .checkpoint = std::move(checkpoint)}, &context_);
    return (*handler_)(job);
  }
  // Of a file that is not there; another name in every process of this program.
  static std::string FileName(const std::string& what) {
    std::string name =
        testing::TempDir() + "serve_handler_test." + std::to_string(getpid()) + "." + what;
    std::remove(name.c_str());
    return name;
  }
  std::string Pid() {
    Outcome outcome = Run("pid");
    const Done* done = std::get_if<Done>(&outcome);
    return done == nullptr ? "" : done->result;
  }

  ServeOptions options_{.lane = {"studio", "media", "short"},
                        .term_grace = std::chrono::minutes(5)};
  FakeJobContext context_;
  std::mutex mutex_;
  std::vector<std::string> lines_;
  std::optional<Handler> handler_;
};

TEST_F(ServeHandlerTest, OneProcessRunsJobAfterJob) {
  const std::string first = Pid();
  EXPECT_NE(first, "");
  EXPECT_EQ(Pid(), first);
  EXPECT_EQ(Run("reject"), Outcome(Rejected{"bad"}));
  EXPECT_EQ(Pid(), first);
  EXPECT_THAT(lines_, ElementsAre("-: loading"));
}

TEST_F(ServeHandlerTest, TheJobIsToldWithItsCheckpoint) {
  const Outcome outcome = Run("echo", "page 7");
  const Done* done = std::get_if<Done>(&outcome);
  ASSERT_NE(done, nullptr);
  EXPECT_THAT(done->result, AllOf(HasSubstr("\"id\": \"j-1\""), HasSubstr("\"attempt\": 2"),
                                  HasSubstr("\"checkpoint\": \"page 7\"")));
  const std::string bytes("\xff\0\xfe", 3);
  EXPECT_EQ(Run(bytes), Outcome(Done{bytes}));
}

TEST_F(ServeHandlerTest, AFailureSaysWhyAndCarriesTheLastLines) {
  EXPECT_EQ(Run("fail"), Outcome(Failed{"away", "IOError", {"no luck"}, milliseconds(1500)}));
  EXPECT_THAT(lines_, Contains("j-1: no luck"));
}

TEST_F(ServeHandlerTest, ProgressAndCheckpointsReachTheJob) {
  EXPECT_EQ(Run("steps"), Outcome(Done{"{\"stored\": true}"}));
  EXPECT_THAT(context_.progress, ElementsAre(std::pair<double, std::string>(0.4, "page 12")));
  EXPECT_THAT(context_.checkpoints, ElementsAre("page 12"));
}

TEST_F(ServeHandlerTest, AProcessThatDiesUnderItsJobIsACrashAndReplaced) {
  const std::string first = Pid();
  EXPECT_EQ(Run("segv"), Outcome(Crashed{"killed by signal 11 (Segmentation fault): last words",
                                         "signal 11",
                                         {"last words"}}));
  EXPECT_EQ(Run("exit"), Outcome(Crashed{"exit code 3", "exit 3"}));
  const std::string second = Pid();
  EXPECT_NE(second, "");
  EXPECT_NE(second, first);
}

TEST_F(ServeHandlerTest, AProcessThatDiesBetweenJobsCostsNoJob) {
  const std::string first = Pid();
  ASSERT_NE(first, "");
  ASSERT_EQ(kill(std::stoi(first), SIGKILL), 0);
  ASSERT_TRUE(WaitEnded(first));
  const std::string second = Pid();
  EXPECT_NE(second, "");
  EXPECT_NE(second, first);
}

TEST_F(ServeHandlerTest, AProcessThatEndsWhileItGetsAJobCostsNoJob) {
  // It has outlived StillGood by then, but never reads the second job.
  options_.command = {"sh", "-c",
                      "echo '{\"ready\":true}'; read -r job; echo '{\"outcome\":\"done\"}'; "
                      "sleep 0.3"};
  EXPECT_EQ(Run("1"), Outcome(Done{}));
  EXPECT_EQ(Run("2"), Outcome(Done{}));
  EXPECT_EQ(Run("3"), Outcome(Done{}));
}

TEST_F(ServeHandlerTest, AnOutcomeCountsThoughTheProcessEndsBehindIt) {
  EXPECT_EQ(Run("outcome, then exit"), Outcome(Done{"good"}));
  EXPECT_NE(Pid(), "");
}

TEST_F(ServeHandlerTest, WhatIsNoJobLineFailsTheJobAndEndsTheProcess) {
  const std::string first = Pid();
  EXPECT_EQ(Run("garbage"),
            Outcome(Failed{"its standard output: a line that is no JSON object", "protocol"}));
  EXPECT_NE(Pid(), first);
}

TEST_F(ServeHandlerTest, WhichOfTwoThingsItDidFirstDecides) {
  EXPECT_EQ(Run("half a line"), Outcome(Crashed{"killed by signal 9 (Killed)", "signal 9"}));
  EXPECT_EQ(Run("garbage, then exit"),
            Outcome(Failed{"its standard output: a line that is no JSON object", "protocol"}));
}

TEST_F(ServeHandlerTest, ASecondOutcomeIsNeverThatOfAnotherJob) {
  const std::string first = Pid();
  EXPECT_EQ(Run("two outcomes"), Outcome(Done{"first"}));
  EXPECT_NE(Pid(), first);
}

TEST_F(ServeHandlerTest, AProcessThatClosesItsOutputIsEnded) {
  options_.term_grace = milliseconds(100);
  EXPECT_EQ(Run("close"), Outcome(Failed{"it closed its standard output", "protocol"}));
}

TEST_F(ServeHandlerTest, AJobIsToldToStopAndItsProcessStays) {
  const std::string first = Pid();
  context_.stop_at_progress = true;
  EXPECT_EQ(Run("until stopped"), Outcome(Interrupted{}));
  context_.stop = false;
  EXPECT_EQ(Pid(), first);
  handler_.reset();  // Ends at once: its input is closed.
}

TEST_F(ServeHandlerTest, AProcessThatIgnoresTheStopIsReplaced) {
  options_.term_grace = milliseconds(100);
  const std::string first = Pid();
  context_.stop_at_progress = true;
  EXPECT_EQ(Run("ignore the stop"), Outcome(Interrupted{}));
  context_.stop = false;
  const std::string second = Pid();
  EXPECT_NE(second, "");
  EXPECT_NE(second, first);
}

TEST_F(ServeHandlerTest, MuchOutputHoldsNobodyUp) {
  EXPECT_EQ(Run("much"), Outcome(Done{std::string(60000, 'r')}));
  EXPECT_EQ(Run("big" + std::string(8U << 20, 'x')), Outcome(Done{"8388611"}));
}

TEST_F(ServeHandlerTest, AProgramThatIsNeverReadyFailsTheJobInTheEnd) {
  options_.start_deadline = milliseconds(300);
  options_.command = {"sh", "-c", "echo no model >&2; exec sleep 1000"};
  const Outcome expected =
      Failed{"starting the program: it did not write {\"ready\":true} within 300ms: no model",
             "start",
             {"no model"}};
  // On a busy machine it may be too slow to say why; not always.
  EXPECT_TRUE(Eventually([&] {
    handler_.reset();
    return Run("pid") == expected;
  }));
}

TEST_F(ServeHandlerTest, AProgramThatEndsBeforeItIsReadyFailsTheJobInTheEnd) {
  options_.start_deadline = milliseconds(500);
  options_.command = {"sh", "-c", "echo no model >&2; exit 7"};
  const Outcome expected =
      Failed{"starting the program: exit code 7: no model", "start", {"no model"}};
  // It is tried more than once, unless the machine is too busy, but not in a tight loop.
  EXPECT_TRUE(Eventually([&] {
    handler_.reset();
    lines_.clear();
    const Outcome outcome = Run("pid");
    EXPECT_LE(lines_.size(), 6U);
    return outcome == expected && lines_.size() >= 2;
  }));
}

TEST_F(ServeHandlerTest, AStartThatIsInterruptedGoesOnForTheNextJob) {
  const std::string loaded = FileName("loaded");
  const std::string script =
      "echo start >&2; until [ -e \"$1\" ]; do sleep 0.01; done; echo '{\"ready\":true}'; "
      "read -r job; echo '{\"outcome\":\"done\"}'; read -r job";
  options_.command = {"sh", "-c", script, "sh", loaded};
  options_.on_line = [this](const Job*, std::string_view line) {
    lines_.emplace_back(line);
    context_.stop = true;
  };
  EXPECT_EQ(Run("pid"), Outcome(Interrupted{}));
  context_.stop = false;
  std::ofstream(loaded) << "x";
  EXPECT_EQ(Run("pid"), Outcome(Done{}));
  EXPECT_THAT(lines_, ElementsAre("start"));
  std::remove(loaded.c_str());
}

TEST_F(ServeHandlerTest, EachSlotHasAProcessOfItsOwn) {
  handler_ = MakeServeHandler(options_).value();
  std::mutex mutex;
  std::multiset<std::string> pids;
  std::atomic<int> started{0};
  std::vector<std::thread> slots;
  for (int n = 0; n < 4; ++n) {
    slots.emplace_back([&] {
      const auto run = [&](const std::string& payload) {
        FakeJobContext context;
        Job job({.payload = payload}, {}, {}, &context);
        return (*handler_)(job);
      };
      std::vector<std::string> mine;
      for (int jobs = 0; jobs < 20; ++jobs) {
        const Outcome outcome = run("pid");
        if (jobs == 0) ++started;
        // All four have one before any asks for another.
        while (started < 4) std::this_thread::sleep_for(milliseconds(1));
        if (const Done* done = std::get_if<Done>(&outcome)) mine.push_back(done->result);
      }
      const std::lock_guard lock(mutex);
      pids.insert(mine.begin(), mine.end());
    });
  }
  for (std::thread& slot : slots) slot.join();
  EXPECT_EQ(pids.size(), 80U);
  EXPECT_LE(std::set(pids.begin(), pids.end()).size(), 4U);
}

TEST_F(ServeHandlerTest, AProcessOutlivesTheThreadThatFirstNeededIt) {
  std::string first;
  std::thread([&] { first = Pid(); }).join();
  EXPECT_NE(first, "");
  EXPECT_EQ(Pid(), first);
}

TEST_F(ServeHandlerTest, ProcessesMayCleanUpWhenTheHandlerGoes) {
  options_.command = {"sh", "-c",
                      "trap 'rm \"$1\"; exit' TERM; echo '{\"ready\":true}'; "
                      "read -r job; echo '{\"outcome\":\"done\"}'; while :; do sleep 0.01; done",
                      "sh"};
  const std::string mark = FileName("mark");
  std::ofstream(mark) << "x";
  options_.command.push_back(mark);
  EXPECT_EQ(Run(""), Outcome(Done{}));
  handler_.reset();
  EXPECT_FALSE(std::ifstream(mark).is_open());
}

TEST_F(ServeHandlerTest, AMissingProgramIsFoundOutBeforeTheFirstJob) {
  options_.command = {"no-such-program"};
  const auto handler = MakeServeHandler(options_);
  ASSERT_FALSE(handler);
  EXPECT_THAT(handler.error().message, HasSubstr("no-such-program"));
}

}  // namespace
}  // namespace lanekeeper::handlers
