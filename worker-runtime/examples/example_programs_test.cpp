// The example programs, each run by its way. From the root of the repository.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <string>
#include <utility>

#include "worker-runtime/base/testing/held_port.h"
#include "worker-runtime/handlers/exec_handler.h"
#include "worker-runtime/handlers/http_handler.h"
#include "worker-runtime/handlers/process.h"
#include "worker-runtime/handlers/serve_handler.h"
#include "worker-runtime/handlers/testing/fake_job_context.h"

namespace lanekeeper::examples {
namespace {

using handlers::FakeJobContext;
using testing::ElementsAre;
using testing::SizeIs;

class ExampleProgramsTest : public testing::Test {
 protected:
  ExampleProgramsTest() { std::signal(SIGPIPE, SIG_IGN); }

  Outcome Run(const Handler& handler, const std::string& payload, Headers headers = {},
              std::string checkpoint = "") {
    Job job({.payload = payload, .headers = std::move(headers)}, {.id = "j-1"},
            {.checkpoint = std::move(checkpoint)}, &context_);
    return handler(job);
  }

  FakeJobContext context_;
};

TEST_F(ExampleProgramsTest, PagesAreCountedAndGoneOnWithWhereARunWasStopped) {
  const Handler pages =
      handlers::MakeExecHandler({.command = {"worker-runtime/examples/python_exec/pages.py"}})
          .value();
  EXPECT_EQ(Run(pages, "one two\fthree\ffour"), Outcome(Done{"4"}));
  EXPECT_THAT(context_.progress, SizeIs(3));
  EXPECT_THAT(context_.checkpoints,
              ElementsAre("{\"page\": 1, \"words\": 2}", "{\"page\": 2, \"words\": 3}",
                          "{\"page\": 3, \"words\": 4}"));
  // Another run, from the second checkpoint on: what lies before it is not read again.
  EXPECT_EQ(Run(pages, "\f\ffour", {}, context_.checkpoints[1]), Outcome(Done{"4"}));

  context_.stop_at_progress = true;
  EXPECT_EQ(Run(pages, std::string(1000, '\f'), {{"X-Page-Seconds", "0.05"}}),
            Outcome(Interrupted{}));
  context_.stop = context_.stop_at_progress = false;
  EXPECT_TRUE(std::holds_alternative<Rejected>(Run(pages, "\xff\xfe")));
}

TEST_F(ExampleProgramsTest, TheModelIsLoadedOnceAndStopsWhenTold) {
  const Handler model =
      handlers::MakeServeHandler({.command = {"worker-runtime/examples/python_serve/model.py"}})
          .value();
  EXPECT_EQ(Run(model, "one two"), Outcome(Done{"short"}));
  EXPECT_EQ(Run(model, "1 2 3 4 5 6 7 8 9 10"), Outcome(Done{"long"}));
  EXPECT_EQ(Run(model, "\xff"), Outcome(Rejected{"the payload is not UTF-8", "Payload"}));
  context_.stop_at_progress = true;
  std::string words;
  for (int n = 0; n < 1000; ++n) words += "word ";
  EXPECT_EQ(Run(model, words, {{"X-Word-Seconds", "0.05"}}), Outcome(Interrupted{}));
  context_.stop = context_.stop_at_progress = false;
  const Outcome bad = Run(model, "a", {{"X-Word-Seconds", "x"}});
  EXPECT_EQ(std::get<Failed>(bad).error_class, "ValueError");
}

TEST_F(ExampleProgramsTest, TheSidecarHashes) {
  const HeldPort held;
  const std::string port = std::to_string(held.number());
  auto sidecar = handlers::Process::Start(
      {.program = "worker-runtime/examples/python_http/sidecar.py",
       .arguments = {"sidecar.py"},
       .environment = {"PATH=" + handlers::OwnPath(), "SIDECAR_PORT=" + port}},
      {});
  ASSERT_TRUE(sidecar) << sidecar.error().message;
  const Handler http =
      handlers::MakeHttpHandler({.url = "http://127.0.0.1:" + port + "/jobs"}).value();
  EXPECT_EQ(Run(http, "text"),
            Outcome(Done{"982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1"}));
  EXPECT_EQ(Run(http, ""),
            Outcome(Rejected{"answered 422: nothing to hash", "http 422", {"nothing to hash"}}));
}

}  // namespace
}  // namespace lanekeeper::examples
