#include "operator/local/local_nats.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>

#include "operator/local/state_folder.h"
#include "worker-runtime/nats/jetstream.h"
#include "worker-runtime/nats/server_binary.h"
#include "worker-runtime/nats/testing/nats_test.h"

namespace lanekeeper {
namespace {

using testing::HasSubstr;

class LocalNatsTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / "lanekeeper-localnats-XXXXXX";
    ASSERT_NE(mkdtemp(folder_.data()), nullptr);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::unique_ptr<LocalNats> Run(int port = 0) {
    auto started =
        LocalNats::Start({.folder = folder_, .binary = *nats::FindServerBinary(), .port = port});
    EXPECT_TRUE(started) << started.error().message;
    return started ? *std::move(started) : nullptr;
  }
  // By its configuration, which no other server has.
  pid_t ServerPid() const {
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
      const std::string command = ReadWholeFile(entry.path().string() + "/cmdline").value_or("");
      if (command.find(folder_ + "/nats.conf") == std::string::npos) continue;
      return std::atoi(entry.path().filename().c_str());
    }
    return 0;
  }

  std::string folder_;
};

TEST_F(LocalNatsTest, DataSurvivesARestartAndTheServerEndsWithIt) {
  {
    const auto server = Run();
    ASSERT_NE(server, nullptr);
    const auto connection = nats::Connect(server->url());
    const nats::JetStream jetstream(*connection, nats::kAnswerDeadline);
    ASSERT_TRUE(jetstream.CreateStream("KEPT", R"({"name":"KEPT","subjects":["kept"]})"));
    ASSERT_TRUE(jetstream.PublishAck("kept", "1"));
    ASSERT_NE(ServerPid(), 0);
  }
  EXPECT_EQ(ServerPid(), 0);
  const auto server = Run();
  ASSERT_NE(server, nullptr);
  const auto connection = nats::Connect(server->url());
  const auto stream = nats::JetStream(*connection, nats::kAnswerDeadline).StreamInfo("KEPT");
  ASSERT_TRUE(stream);
  EXPECT_EQ(stream->last_sequence, 1u);
}

TEST_F(LocalNatsTest, AKilledServerComesBackWithItsPortAndItsData) {
  const auto server = Run();
  ASSERT_NE(server, nullptr);
  const auto connection = nats::Connect(server->url());
  const nats::JetStream jetstream(*connection, nats::kAnswerDeadline);
  ASSERT_TRUE(jetstream.CreateStream("KEPT", R"({"name":"KEPT","subjects":["kept"]})"));
  const std::string url = server->url();
  ASSERT_EQ(kill(ServerPid(), SIGKILL), 0);
  EXPECT_TRUE(nats::Eventually(
      [&] { return jetstream.StreamInfo("KEPT").has_value() && connection->Epoch() > 1; }));
  EXPECT_EQ(server->url(), url);
}

TEST_F(LocalNatsTest, APortThatIsTakenIsSaid) {
  const auto first = Run();
  ASSERT_NE(first, nullptr);
  std::string other = folder_ + "/other";
  std::filesystem::create_directory(other);
  const auto second = LocalNats::Start(
      {.folder = other, .binary = *nats::FindServerBinary(), .port = first->port()});
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().message, HasSubstr("address already in use"));
}

}  // namespace
}  // namespace lanekeeper
