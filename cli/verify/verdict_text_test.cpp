#include "cli/verify/verdict_text.h"

#include <gtest/gtest.h>

namespace lanekeeper::verify {
namespace {

Verdict Example() {
  Verdict verdict;
  verdict.accepted = 8;
  verdict.done = 3;
  verdict.dead = 2;
  verdict.cancelled = 1;
  verdict.queued = {"q-1"};
  verdict.lost = {{"l-1", "no record"}};
  verdict.explained = {{"e-1", "one crash"}, {"e-2", "one crash"}};
  verdict.dead_by_reason = {{"attempts-used-up", 1}, {"rejected", 1}};
  return verdict;
}

TEST(VerdictTextTest, TheTableListsWhatAPersonHasToLookInto) {
  EXPECT_EQ(VerdictTable(Example(), 1),
            "accepted                    8\n"
            "  done                      3\n"
            "  dead letters              2   attempts-used-up 1, rejected 1\n"
            "  moved                     0\n"
            "  cancelled                 1\n"
            "  still queued              1\n"
            "    q-1\n"
            "  lost                      1\n"
            "    l-1   no record\n"
            "ran more than once          2   0 of them unexplained\n"
            "    e-1   one crash\n"
            "    … and 1 more\n"
            "stale results               0\n"
            "contradictory               0\n"
            "never accepted              0\n");
}

TEST(VerdictTextTest, TheLastLineIsForScripts) {
  EXPECT_EQ(
      VerdictJson(Example(), 10),
      R"({"accepted":8,"done":3,"dead":2,"moved":0,"cancelled":1,"queued":1,"lost":1,"duplicates":2,)"
      R"("unexplained":0,"stale":0,"contradictory":0,"unaccepted":0,)"
      R"("dead_by_reason":{"attempts-used-up":1,"rejected":1},"lost_ids":["l-1"],)"
      R"("holds":false})");
}

}  // namespace
}  // namespace lanekeeper::verify
