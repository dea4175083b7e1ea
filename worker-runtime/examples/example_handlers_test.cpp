#include "worker-runtime/examples/example_handlers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace lanekeeper::examples {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

TEST(ParseSleepTest, ReadsANumberOrAnObject) {
  EXPECT_EQ(ParseSleep("500").value(), milliseconds(500));
  EXPECT_EQ(ParseSleep(" 500\n").value(), milliseconds(500));
  EXPECT_EQ(ParseSleep("{\"ms\": 500, \"x\": 1}").value(), milliseconds(500));
  EXPECT_EQ(ParseSleep("").value(), milliseconds(0));
  for (const char* bad :
       {"-1", "1.5", "x", "{}", "[5]", "{\"ms\":\"5\"}", "99999999999999999999", "86400001"}) {
    EXPECT_FALSE(ParseSleep(bad)) << bad;
  }
}

// Tells the job to stop or not, and keeps its checkpoints.
struct FakeContext final : JobContext {
  bool StopRequested() const override { return stop; }
  void Progress(double, std::string_view) override {}
  Result<void> Checkpoint(std::string_view bytes) override {
    checkpoints.emplace_back(bytes);
    return {};
  }

  bool stop = false;
  std::vector<std::string> checkpoints;
};

class ExampleHandlersTest : public testing::Test {
 protected:
  ExampleHandlersTest() {
    options_ = {.lane = "short", .worker = "w-1", .record = [this](const std::string& json) {
                  records_.push_back(json);
                  return result_;
                }};
  }
  Outcome Run(const std::string& type, const std::string& payload, int attempt = 1,
              bool stop = false) {
    HandlerRegistry registry;
    AddExampleHandlers(options_, [&registry](std::string name, Handler handler) {
      registry.Handle(std::move(name), std::move(handler));
    });
    context_.stop = stop;
    Job job({.delivery = 1, .payload = payload}, {.id = "j-1", .type = type},
            {.attempt = attempt, .attempts_max = 5, .run = 2, .checkpoint = checkpoint_},
            &context_);
    return (*registry.Find(type))(job);
  }

  const Outcome done_ = Done{R"({"run":2,"worker":"w-1"})"};
  FakeContext context_;
  std::string checkpoint_;
  ExampleOptions options_;
  Result<void> result_;
  std::vector<std::string> records_;
};

TEST_F(ExampleHandlersTest, ASuccessIsRecorded) {
  EXPECT_EQ(Run("", "1"), done_);
  ASSERT_EQ(records_.size(), 1U);
  EXPECT_THAT(records_[0], AllOf(HasSubstr("\"id\":\"j-1\""), HasSubstr("\"lane\":\"short\""),
                                 HasSubstr("\"worker\":\"w-1\""), HasSubstr("\"delivery\":1"),
                                 HasSubstr("\"run\":2"), HasSubstr("\"started\":\"20"),
                                 HasSubstr("\"ended\":\"20")));
}

TEST_F(ExampleHandlersTest, ReturnWhatTheTableSays) {
  EXPECT_EQ(Run("sleep", "86400000", 1, /*stop=*/true), Outcome(Interrupted{}));
  EXPECT_TRUE(std::holds_alternative<Rejected>(Run("sleep", "nonsense")));
  EXPECT_TRUE(std::holds_alternative<Failed>(Run("fail", "")));
  EXPECT_TRUE(std::holds_alternative<Rejected>(Run("poison", "")));
  EXPECT_TRUE(std::holds_alternative<Failed>(Run("flaky", "3", 2)));
  EXPECT_TRUE(records_.empty());
  EXPECT_EQ(Run("flaky", "3", 3), done_);
  EXPECT_DEATH(Run("crash", ""), "");
}

TEST_F(ExampleHandlersTest, StepsGoOnAfterTheLastCheckpoint) {
  checkpoint_ = "1";
  EXPECT_EQ(Run("steps", "3"), done_);
  EXPECT_EQ(context_.checkpoints, (std::vector<std::string>{"2", "3"}));
  EXPECT_EQ(Run("steps", "3", 1, /*stop=*/true), Outcome(Interrupted{}));
  EXPECT_TRUE(std::holds_alternative<Rejected>(Run("steps", "many")));
}

TEST_F(ExampleHandlersTest, AHeldJobIsDoneOnceItsFileIsThere) {
  EXPECT_EQ(Run("hold", "/nowhere/go", 1, /*stop=*/true), Outcome(Interrupted{}));
  EXPECT_EQ(Run("hold", "/"), done_);
  EXPECT_TRUE(std::holds_alternative<Rejected>(Run("hold", "")));
}

TEST_F(ExampleHandlersTest, AStubbornJobDoesNotStop) {
  EXPECT_EQ(Run("stubborn", "1", 1, /*stop=*/true), done_);
}

TEST_F(ExampleHandlersTest, WithoutItsRecordAJobIsNotDone) {
  result_ = Fail(ErrorKind::kNotFound, "no stream");
  EXPECT_EQ(Run("sleep", "0"), Outcome(Failed{"recording the result: no stream"}));
  result_ = Fail(ErrorKind::kRetryable, "timeout");
  EXPECT_EQ(Run("sleep", "0", 1, /*stop=*/true), Outcome(Interrupted{}));
}

}  // namespace
}  // namespace lanekeeper::examples
