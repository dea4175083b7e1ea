// Who may connect, and that a changed file or text is taken up without a new process.
#include <gmock/gmock.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "worker-runtime/nats/testing/nats_identities.h"
#include "worker-runtime/nats/testing/nats_test.h"
#include "worker-runtime/nats/testing/tls_identities.h"

namespace lanekeeper::nats {
namespace {

namespace fs = std::filesystem;
using std::chrono::milliseconds;
using testing::HasSubstr;

constexpr const char* kSubject = "access.test";

// A folder of its own, in which files are replaced as a kubelet does: at once.
class AccessTest : public testing::Test {
 protected:
  AccessTest() {
    std::string made = (fs::temp_directory_path() / "lanekeeper-access-XXXXXX").string();
    folder_ = mkdtemp(made.data());
  }
  ~AccessTest() override { fs::remove_all(folder_); }

  std::string Write(const std::string& name, const std::string& text) const {
    const fs::path fresh = folder_ / (name + ".new");
    std::ofstream(fresh, std::ios::binary) << text;
    fs::rename(fresh, folder_ / name);
    return (folder_ / name).string();
  }

  NatsServerOptions TlsServer(const std::string& more, const std::string& alternative) const {
    const TlsIdentity server = authority_.Sign("server", alternative);
    return {.jetstream = false,
            .config = "tls: {cert_file: \"" + Write("server.crt", server.certificate) +
                      "\", key_file: \"" + Write("server.key", server.key) + "\", ca_file: \"" +
                      Write("ca.crt", authority_.certificate()) + "\" " + more + "}"};
  }
  std::string WriteClient(const TlsAuthority& authority) const {
    const TlsIdentity client = authority.Sign("client");
    Write("tls.key", client.key);
    return Write("tls.crt", client.certificate);
  }
  TlsFiles Files() const {
    return {
        .ca = folder_ / "ca.crt", .certificate = folder_ / "tls.crt", .key = folder_ / "tls.key"};
  }
  static std::string Localhost(const NatsServer& server) {
    return "tls://localhost:" + std::to_string(server.port());
  }

  const TlsAuthority authority_;
  fs::path folder_;
};

// What `from` publishes arrives at `to`: they are in one account.
bool Reaches(Connection& from, Connection& to) {
  const auto subscription = to.Subscribe(kSubject);
  if (!subscription || !to.Flush(kTestDeadline)) return false;
  static_cast<void>(from.Publish(kSubject, "x"));
  // What the server has handled it has sent, before its answer to the second flush.
  if (!from.Flush(kTestDeadline) || !to.Flush(kTestDeadline)) return false;
  return (*subscription)->Next(milliseconds(0)).has_value();
}

TEST_F(AccessTest, JwtAccountsDoNotHearEachOther) {
  const JwtOperator jwt({"A", "B"});
  const NatsServer server = RunServer({.jetstream = false, .config = jwt.Config()});
  const auto a = Connect(server.url(), {.access = {.credentials = jwt.NewUser("A")}});
  const auto also_a =
      Connect(server.url(), {.credentials_file = Write("user.creds", jwt.NewUser("A"))});
  const auto b = Connect(server.url(), {.access = {.credentials = jwt.NewUser("B")}});
  EXPECT_TRUE(Reaches(*a, *also_a));
  EXPECT_FALSE(Reaches(*a, *b));
}

TEST_F(AccessTest, NkeyUsersAreKnownByTheirKeys) {
  const Nkey a = MakeNkey('U');
  const Nkey b = MakeNkey('U');
  const NatsServer server =
      RunServer({.jetstream = false,
                 .config = AccountsConfig({{"A", {a.public_half}}, {"B", {b.public_half}}}) +
                           "system_account: B"});
  const auto of_a = Connect(server.url(), {.access = {.credentials = a.seed}});
  const auto of_b = Connect(server.url(), {.credentials_file = Write("b.nk", b.seed + "\n")});
  EXPECT_TRUE(Reaches(*of_a, *of_a));
  EXPECT_FALSE(Reaches(*of_a, *of_b));
}

TEST_F(AccessTest, ChangedCredentialsFileIsTakenUp) {
  const JwtOperator jwt({"A", "B"});
  const NatsServer server = RunServer({.jetstream = false, .config = jwt.Config()});
  const std::string file = Write("user.creds", jwt.NewUser("A"));
  const auto connection =
      Connect(server.url(), {.credentials_file = file, .access_interval = milliseconds(50)});
  const auto b = Connect(server.url(), {.access = {.credentials = jwt.NewUser("B")}});
  ASSERT_FALSE(Reaches(*b, *connection));
  Write("user.creds", jwt.NewUser("B"));
  EXPECT_TRUE(Eventually([&] { return Reaches(*b, *connection); }));
}

TEST_F(AccessTest, SubscriptionsOutliveAChangeOfCredentials) {
  const JwtOperator jwt({"A"});
  const NatsServer server = RunServer({.jetstream = false, .config = jwt.Config()});
  const auto connection = Connect(server.url(), {.access = {.credentials = jwt.NewUser("A")}});
  const auto other = Connect(server.url(), {.access = {.credentials = jwt.NewUser("A")}});
  const auto subscription = connection->Subscribe(kSubject);
  ASSERT_TRUE(subscription);
  const std::uint64_t epoch = connection->Epoch();
  // Told when the subscriptions are on the new connection.
  const NextConnect connect(*connection);
  ASSERT_TRUE(connection->Renew({.credentials = jwt.NewUser("A")}));
  ASSERT_TRUE(connect.Wait());
  EXPECT_GT(connection->Epoch(), epoch);
  ASSERT_TRUE(connection->Flush(kTestDeadline));
  ASSERT_TRUE(other->Publish(kSubject, "x"));
  EXPECT_TRUE((*subscription)->Next(kTestDeadline));
}

TEST_F(AccessTest, RefusedCredentialsDoNotEndAConnectionThatWorks) {
  const JwtOperator jwt({"A"});
  const JwtOperator stranger({"A"});
  const NatsServer server = RunServer({.jetstream = false, .config = jwt.Config()});
  const std::string file = Write("user.creds", jwt.NewUser("A"));
  const auto connection =
      Connect(server.url(), {.credentials_file = file, .access_interval = milliseconds(50)});
  const std::uint64_t epoch = connection->Epoch();
  Write("user.creds", stranger.NewUser("A"));
  ASSERT_TRUE(Eventually([&] {
    return connection->LastError().find("uthorization") != std::string::npos;
  })) << connection->LastError();
  Write("user.creds", "half a fi");
  ASSERT_TRUE(Eventually([&] {
    return connection->LastError().find("neither") != std::string::npos;
  })) << connection->LastError();
  EXPECT_TRUE(connection->Connected());
  EXPECT_EQ(connection->Epoch(), epoch);
  Write("user.creds", jwt.NewUser("A"));
  EXPECT_TRUE(Eventually([&] { return connection->Epoch() > epoch && connection->Connected(); }));
}

TEST_F(AccessTest, CredentialsThatWereRefusedAtFirstAreReplaced) {
  const JwtOperator jwt({"A"});
  const JwtOperator stranger({"A"});
  const NatsServer server = RunServer({.jetstream = false, .config = jwt.Config()});
  auto connection = Connection::Open({.url = server.url(),
                                      .access = {.credentials = stranger.NewUser("A")},
                                      .wait_for_first = false});
  ASSERT_TRUE(connection) << connection.error().message;
  ASSERT_TRUE(Eventually([&] { return !(*connection)->LastError().empty(); }));
  EXPECT_FALSE((*connection)->Connected());
  ASSERT_TRUE((*connection)->Renew({.credentials = jwt.NewUser("A")}));
  EXPECT_TRUE((*connection)->WaitConnected(kTestDeadline)) << (*connection)->LastError();
}

TEST_F(AccessTest, OpeningInTheBackgroundDoesNotWaitForAServer) {
  // Nobody answers at this address (TEST-NET-1).
  const auto connection =
      Connection::Open({.url = "nats://192.0.2.1:4222", .wait_for_first = false});
  ASSERT_TRUE(connection);
  EXPECT_FALSE((*connection)->Connected());
  const auto refused =
      Connection::Open({.access = {.credentials = "rubbish"}, .wait_for_first = false});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::kInvalid);
}

TEST_F(AccessTest, ClientCertificateIsShownAndReplaced) {
  NatsServer server = RunServer(TlsServer(", verify: true", "DNS:localhost"));
  WriteClient(authority_);
  const auto connection =
      Connect(Localhost(server), {.tls = Files(), .access_interval = milliseconds(50)});
  const std::uint64_t epoch = connection->Epoch();

  // The certificates of both sides are replaced by those of another authority.
  const TlsAuthority next;
  const TlsIdentity renewed = next.Sign("server", "DNS:localhost");
  Write("server.crt", renewed.certificate);
  Write("server.key", renewed.key);
  Write("ca.crt", next.certificate());
  WriteClient(next);
  server.Stop();
  ASSERT_TRUE(server.Start());
  EXPECT_TRUE(Eventually([&] { return connection->Connected() && connection->Epoch() > epoch; }))
      << connection->LastError();
}

TEST_F(AccessTest, RenewedClientCertificateIsUsedAtOnce) {
  const NatsServer server = RunServer(TlsServer(", verify: true", "DNS:localhost"));
  WriteClient(authority_);
  const auto connection =
      Connect(Localhost(server), {.tls = Files(), .access_interval = milliseconds(50)});
  const std::uint64_t epoch = connection->Epoch();
  WriteClient(authority_);
  EXPECT_TRUE(Eventually([&] { return connection->Epoch() > epoch && connection->Connected(); }));
}

TEST_F(AccessTest, WithoutAClientCertificateTheServerRefuses) {
  const NatsServer server = RunServer(TlsServer(", verify: true", "DNS:localhost"));
  const auto connection =
      Connection::Open({.url = Localhost(server), .tls = {.ca = folder_ / "ca.crt"}});
  ASSERT_TRUE(connection);
  EXPECT_FALSE((*connection)->WaitConnected(milliseconds(500)));
}

TEST_F(AccessTest, AServerOfAnotherAuthorityIsNotTrusted) {
  const NatsServer server = RunServer(TlsServer("", "DNS:localhost"));
  const TlsAuthority other;
  const auto connection = Connection::Open({.url = Localhost(server),
                                            .access = {.tls_ca = other.certificate()},
                                            .wait_for_first = false});
  ASSERT_TRUE(connection);
  EXPECT_TRUE(Eventually([&] {
    return (*connection)->LastError().find("certificate") != std::string::npos;
  })) << (*connection)->LastError();
  EXPECT_FALSE((*connection)->Connected());
}

TEST_F(AccessTest, AServerWithAnotherNameIsNotTrusted) {
  const NatsServer server = RunServer(TlsServer("", "DNS:elsewhere.example"));
  const auto connection =
      Connection::Open({.url = Localhost(server), .tls = {.ca = folder_ / "ca.crt"}});
  ASSERT_TRUE(connection);
  EXPECT_FALSE((*connection)->WaitConnected(milliseconds(500)));
}

TEST_F(AccessTest, AServerIsFoundByItsAddressInTheCertificate) {
  const NatsServer server = RunServer(TlsServer("", "IP:127.0.0.1"));
  Connect("tls://127.0.0.1:" + std::to_string(server.port()), {.tls = {.ca = folder_ / "ca.crt"}});
}

TEST_F(AccessTest, EachServerHasACertificateForItsOwnHost) {
  const NatsServer server = RunServer(TlsServer("", "IP:127.0.0.1"));
  Connect("tls://localhost:1,tls://127.0.0.1:" + std::to_string(server.port()),
          {.tls = {.ca = folder_ / "ca.crt"}});
}

TEST_F(AccessTest, AServerAtAnotherAddressThanItsCertificateIsNotTrusted) {
  const NatsServer server = RunServer(TlsServer("", "IP:127.0.0.2"));
  const auto connection =
      Connection::Open({.url = "tls://127.0.0.1:" + std::to_string(server.port()),
                        .tls = {.ca = folder_ / "ca.crt"}});
  ASSERT_TRUE(connection);
  EXPECT_FALSE((*connection)->WaitConnected(milliseconds(500)));
}

TEST_F(AccessTest, NothingIsSentInTheClearWhenTlsIsAskedFor) {
  const NatsServer server = RunServer({.jetstream = false});
  const auto connection =
      Connection::Open({.url = "tls://localhost:" + std::to_string(server.port())});
  ASSERT_TRUE(connection);
  EXPECT_FALSE((*connection)->WaitConnected(milliseconds(500)));
}

TEST_F(AccessTest, FilesThatCannotBeUsedAreNamed) {
  const auto missing = Connection::Open({.tls = {.ca = "/nowhere/ca.crt"}});
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().message, HasSubstr("TLS authorities /nowhere/ca.crt"));
  const auto half = Connection::Open({.tls = {.certificate = WriteClient(authority_)}});
  ASSERT_FALSE(half);
  EXPECT_THAT(half.error().message, HasSubstr("go together"));
  const TlsIdentity one = authority_.Sign("one");
  const TlsIdentity two = authority_.Sign("two");
  const auto mixed =
      Connection::Open({.access = {.tls_certificate = one.certificate, .tls_key = two.key}});
  ASSERT_FALSE(mixed);
  EXPECT_THAT(mixed.error().message, HasSubstr("do not belong together"));
  EXPECT_EQ(mixed.error().message.find("BEGIN"), std::string::npos);
}

}  // namespace
}  // namespace lanekeeper::nats
