#include "operator/kubernetes/leader_api.h"

#include <gtest/gtest.h>

#include "operator/kubernetes/scripted_api.h"

namespace lanekeeper::kubernetes {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

class FixedLead final : public Leadership {
 public:
  std::optional<Lead> Current() const override { return lead; }
  std::optional<Lead> lead;
};

// Remembers the options, which ScriptedApi does not.
class DeadlineApi final : public Api {
 public:
  Result<Answer> Exchange(const Request&, const CallOptions& options) override {
    deadlines.push_back(options.deadline);
    return Answer{200, "{}"};
  }
  Result<Answer> Stream(const Request&, milliseconds, const OnLine&, std::stop_token) override {
    return Answer{200, ""};
  }
  std::vector<milliseconds> deadlines;
};

const Request kWrite = MergePatchRequest(kDeployments, {"ns", "media-short"}, "{}");
const Request kRead = GetRequest(kDeployments, {"ns", "media-short"});

TEST(LeaderApi, WritesOfWhoDoesNotLeadAreNotSent) {
  ScriptedApi api;
  FakeClock clock;
  FixedLead leadership;
  LeaderApi leader_api(api, clock, &leadership);
  const Result<Answer> answer = leader_api.Call(kWrite);
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind, ErrorKind::kRetryable);
  EXPECT_TRUE(api.requests().empty());
  leader_api.Exchange(kRead, {});
  EXPECT_EQ(api.requests().size(), 1U);
}

TEST(LeaderApi, WriteEndsBeforeSomebodyElseCanLead) {
  DeadlineApi api;
  FakeClock clock;
  FixedLead leadership;
  LeaderApi leader_api(api, clock, &leadership);
  leadership.lead = Lead{"me", 1, clock.Now() + milliseconds(1500)};
  leader_api.Exchange(kWrite, {.deadline = seconds(5)});
  leader_api.Exchange(kWrite, {.deadline = seconds(1)});
  leader_api.Exchange(kRead, {.deadline = seconds(5)});
  EXPECT_EQ(api.deadlines, (std::vector<milliseconds>{milliseconds(1500), seconds(1), seconds(5)}));
  leadership.lead->ends = clock.Now();
  EXPECT_FALSE(leader_api.Exchange(kWrite, {}));
  EXPECT_EQ(api.deadlines.size(), 3U);
}

TEST(LeaderApi, OneOperatorWritesAsItLikes) {
  ScriptedApi api;
  FakeClock clock;
  LeaderApi leader_api(api, clock, nullptr);
  leader_api.Exchange(kWrite, {});
  EXPECT_EQ(api.writes().size(), 1U);
}

}  // namespace
}  // namespace lanekeeper::kubernetes
