#include "worker-runtime/job/handler_registry.h"

#include <gtest/gtest.h>

#include <limits>

#include "worker-runtime/job/job_record.h"

namespace lanekeeper {
namespace {

// A handler that can be told apart by its outcome.
Handler Named(const std::string& name) {
  return [name](Job&) -> Outcome { return Failed{name}; };
}

std::string RunBy(const HandlerRegistry& registry, std::string_view type) {
  Job job(JobMessage{}, JobHead{});
  const Handler* handler = registry.Find(type);
  return handler == nullptr ? "nobody" : std::get<Failed>((*handler)(job)).why;
}

TEST(HandlerRegistryTest, FindsTheHandlerOfATypeBeforeTheOneForAny) {
  HandlerRegistry registry;
  EXPECT_TRUE(registry.empty());
  registry.Handle("resize", Named("resizer"));
  EXPECT_EQ(RunBy(registry, "resize"), "resizer");
  EXPECT_EQ(RunBy(registry, "Resize"), "nobody");
  EXPECT_EQ(RunBy(registry, ""), "nobody");
  registry.HandleAny(Named("any"));
  EXPECT_EQ(RunBy(registry, "resize"), "resizer");
  EXPECT_EQ(RunBy(registry, ""), "any");
  registry.Handle("", Named("untyped"));
  EXPECT_EQ(RunBy(registry, ""), "untyped");
  registry.Handle("resize", Named("newer"));
  EXPECT_EQ(RunBy(registry, "resize"), "newer");
  EXPECT_FALSE(registry.empty());
}

// Remembers what it was told.
class RecordingContext final : public JobContext {
 public:
  bool StopRequested() const override { return stop; }
  void Progress(double fraction, std::string_view note) override {
    progress = fraction;
    progress_note = note;
  }
  Result<void> Checkpoint(std::string_view bytes) override {
    if (!refusal.empty()) return Fail(ErrorKind::kForbidden, refusal);
    checkpoint = bytes;
    return {};
  }

  bool stop = false;
  std::string refusal;
  double progress = -1;
  std::string progress_note;
  std::string checkpoint;
};

TEST(JobTest, IsStoppedOnlyWhenItsWorkerSaysSo) {
  RecordingContext context;
  const Job job(JobMessage{}, JobHead{}, {}, &context);
  EXPECT_FALSE(job.StopRequested());
  context.stop = true;
  EXPECT_TRUE(job.StopRequested());
  EXPECT_FALSE(Job(JobMessage{}, JobHead{}).StopRequested());
}

TEST(JobTest, CutsProgressToWhatARecordTakes) {
  RecordingContext context;
  Job job(JobMessage{}, JobHead{}, {}, &context);
  job.Progress(0.4, "page 12");
  EXPECT_EQ(context.progress, 0.4);
  EXPECT_EQ(context.progress_note, "page 12");
  job.Progress(7, std::string(1000, 'n'));
  EXPECT_EQ(context.progress, 1);
  EXPECT_EQ(context.progress_note.size(), kProgressNoteBytesMax);
  job.Progress(std::numeric_limits<double>::quiet_NaN());
  EXPECT_EQ(context.progress, 0);
}

TEST(JobTest, ACheckpointCountsOnlyWhenItIsStored) {
  RecordingContext context;
  Job job(JobMessage{}, JobHead{}, {.checkpoint = "before"}, &context);
  EXPECT_EQ(job.checkpoint(), "before");
  ASSERT_TRUE(job.Checkpoint("after"));
  EXPECT_EQ(context.checkpoint, "after");
  EXPECT_EQ(job.checkpoint(), "after");
  context.refusal = "another worker has it";
  EXPECT_FALSE(job.Checkpoint("late"));
  EXPECT_EQ(job.checkpoint(), "after");
  context.refusal = "";
  EXPECT_EQ(job.Checkpoint(std::string(kCheckpointBytesMax + 1, 'c')).error().kind,
            ErrorKind::kInvalid);
}

TEST(FindHeaderTest, ComparesNamesWithoutCaseAndTakesTheFirst) {
  const Headers headers{{"X-A", "1"}, {"x-a", "2"}, {"X", "3"}};
  EXPECT_EQ(FindHeader(headers, "x-A"), "1");
  EXPECT_EQ(FindHeader(headers, "x"), "3");
  EXPECT_EQ(FindHeader(headers, "X-AB"), std::nullopt);
}

}  // namespace
}  // namespace lanekeeper
