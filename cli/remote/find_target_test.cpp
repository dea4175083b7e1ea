#include "cli/remote/find_target.h"

#include <gmock/gmock.h>

#include <fstream>
#include <string>
#include <vector>

#include "worker-runtime/client/testing/fake_gateway.h"

namespace lanekeeper::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Places that write down that somebody looked there.
struct FakePlaces {
  std::vector<std::string> looked;
  std::string url_variable;
  Result<Target> cluster = Fail(ErrorKind::kNotFound, "no cluster here");
  Result<Target> local = Fail(ErrorKind::kNotFound, "no instance here");

  Places Ports() {
    return {.environment = [this](const std::string& name) -> std::optional<std::string> {
              if (name != "LANEKEEPER_GATEWAY" || url_variable.empty()) return std::nullopt;
              return url_variable;
            },
            .url = [this](const std::string& url) -> Result<Target> {
              looked.push_back(url);
              return Target{url, nullptr};
            },
            .cluster =
                [this](bool named) {
                  looked.emplace_back(named ? "named cluster" : "cluster");
                  return cluster;
                },
            .local =
                [this] {
                  looked.emplace_back("local");
                  return local;
                }};
  }
};

TEST(FindTargetTest, WhatAFlagNamesIsNotLookedForElsewhere) {
  FakePlaces places;
  places.url_variable = "http://env";
  EXPECT_EQ(FindTarget({.gateway = "http://flag"}, places.Ports())->where, "http://flag");
  EXPECT_FALSE(FindTarget({.local = true}, places.Ports()));
  EXPECT_FALSE(FindTarget({.context = "prod"}, places.Ports()));
  EXPECT_FALSE(FindTarget({.gateway_service = "a/b"}, places.Ports()));
  EXPECT_THAT(places.looked, ElementsAre("http://flag", "local", "named cluster", "named cluster"));
}

TEST(FindTargetTest, OneThatWasNamedAndIsNotThereIsUnreachable) {
  FakePlaces places;
  const auto found = FindTarget({.local = true}, places.Ports());
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error(), (Error{ErrorKind::kRetryable, "no instance here"}));
}

TEST(FindTargetTest, TwoNamedGatewaysAreRefused) {
  FakePlaces places;
  for (const TargetFlags& flags :
       {TargetFlags{.gateway = "http://x", .local = true},
        TargetFlags{.local = true, .kubeconfig = "k"}, TargetFlags{.gateway = "h", .context = "c"},
        TargetFlags{.timeout = std::chrono::milliseconds(0)}}) {
    const auto found = FindTarget(flags, places.Ports());
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().kind, ErrorKind::kInvalid);
  }
  EXPECT_THAT(places.looked, ElementsAre());
}

TEST(FindTargetTest, TheVariableComesBeforeWhatCanBeFound) {
  FakePlaces places;
  places.url_variable = "http://env";
  places.cluster = Target{"cluster", nullptr};
  EXPECT_EQ(FindTarget({}, places.Ports())->where, "http://env");
}

TEST(FindTargetTest, TheClusterComesBeforeThisMachine) {
  FakePlaces places;
  places.cluster = Target{"cluster", nullptr};
  places.local = Target{"local", nullptr};
  EXPECT_EQ(FindTarget({}, places.Ports())->where, "cluster");
  places.cluster = Fail(ErrorKind::kRetryable, "no answer within 2000 ms");
  EXPECT_EQ(FindTarget({}, places.Ports())->where, "local");
}

TEST(FindTargetTest, SeveralGatewaysInTheClusterAreNotGuessedAbout) {
  FakePlaces places;
  places.cluster = Fail(ErrorKind::kInvalid, "several");
  places.local = Target{"local", nullptr};
  EXPECT_EQ(FindTarget({}, places.Ports()).error().kind, ErrorKind::kInvalid);
}

TEST(FindTargetTest, WithoutAnyTheErrorSaysWhatWasTriedAndNamesTheFlags) {
  FakePlaces places;
  const auto found = FindTarget({}, places.Ports());
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().kind, ErrorKind::kRetryable);
  for (const char* part : {"no cluster here", "no instance here", "--gateway", "LANEKEEPER_GATEWAY",
                           "--kubeconfig", "--gateway-service", "--state"}) {
    EXPECT_THAT(found.error().message, HasSubstr(part));
  }
}

class LocalPlaceTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string folder = "/tmp/lanekeeper-local-XXXXXX";
    flags_.state_folder = mkdtemp(folder.data());
  }
  void TearDown() override {
    std::remove((flags_.state_folder + "/gateway").c_str());
    std::remove(flags_.state_folder.c_str());
  }
  void Write(const std::string& url) const {
    std::ofstream(flags_.state_folder + "/gateway") << url << "\n";
  }

  TargetFlags flags_;
};

TEST_F(LocalPlaceTest, TheInstanceIsWhereItsFileSays) {
  client::FakeGateway gateway(
      [](const auto&) { return client::HttpAnswerText(200, "text/plain", "ok\n"); });
  Write(gateway.Url());
  const auto found = PlacesOf(flags_).local();
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_THAT(found->where, HasSubstr(gateway.Url()));
}

TEST_F(LocalPlaceTest, TheFileOfOneThatWasKilledIsNoInstance) {
  Write("http://127.0.0.1:1");
  const auto found = PlacesOf(flags_).local();
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().kind, ErrorKind::kNotFound);
  EXPECT_THAT(found.error().message, HasSubstr("does not answer"));
}

TEST_F(LocalPlaceTest, WithoutAFileNothingRuns) {
  const auto found = PlacesOf(flags_).local();
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().kind, ErrorKind::kNotFound);
  EXPECT_THAT(found.error().message, HasSubstr("lanekeeper up"));
}

}  // namespace
}  // namespace lanekeeper::cli
