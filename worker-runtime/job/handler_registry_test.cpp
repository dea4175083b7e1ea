#include "worker-runtime/job/handler_registry.h"

#include <gtest/gtest.h>

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

TEST(JobTest, IsStoppedOnlyWhenItsWorkerSaysSo) {
  bool stop = false;
  const Job job(JobMessage{}, JobHead{}, 1, [&stop] { return stop; });
  EXPECT_FALSE(job.StopRequested());
  stop = true;
  EXPECT_TRUE(job.StopRequested());
  EXPECT_FALSE(Job(JobMessage{}, JobHead{}).StopRequested());
}

TEST(FindHeaderTest, ComparesNamesWithoutCaseAndTakesTheFirst) {
  const Headers headers{{"X-A", "1"}, {"x-a", "2"}, {"X", "3"}};
  EXPECT_EQ(FindHeader(headers, "x-A"), "1");
  EXPECT_EQ(FindHeader(headers, "x"), "3");
  EXPECT_EQ(FindHeader(headers, "X-AB"), std::nullopt);
}

}  // namespace
}  // namespace lanekeeper
