#include "operator/jetstream/ledger_decisions.h"

#include <gtest/gtest.h>

#include <string>

#include "operator/scaling/wording.h"

namespace lanekeeper {
namespace {

TEST(LedgerDecisions, AnEntryIsWhatWasDoneWithItsTermsInWords) {
  LedgerEntry entry{.key = {"studio", "media", "short"},
                    .time = WallTime(std::chrono::seconds(100)),
                    .policy = {.workers_max = 20, .jobs_per_worker = 16},
                    .observation = {.waiting = 201, .running = 3, .workers_current = 2},
                    .observed_only = true,
                    .sentence = "Scaled from 2 to 13 workers."};
  entry.decided = entry.applied = scaling::DecideWorkers(entry.policy, entry.observation);
  const gateway::Decision decision = DecisionOf(entry);
  EXPECT_EQ(decision.time, entry.time);
  EXPECT_EQ(decision.sentence, entry.sentence);
  EXPECT_EQ(decision.reason, "BacklogGrew");
  EXPECT_EQ(decision.workers_from, 2);
  EXPECT_EQ(decision.workers_to, 13);
  EXPECT_TRUE(decision.observed_only);
  ASSERT_EQ(decision.terms.size(), entry.applied.terms.size());
  EXPECT_EQ(decision.terms[0].term, "demand");
  EXPECT_EQ(decision.terms[0].workers, 13);
  EXPECT_EQ(decision.terms[0].text, "201 jobs waiting and 3 running, 16 per worker");
}

}  // namespace
}  // namespace lanekeeper
