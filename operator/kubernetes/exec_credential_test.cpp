#include "operator/kubernetes/exec_credential.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "operator/kubernetes/temporary_directory.h"
#include "worker-runtime/job/rfc3339.h"

namespace lanekeeper::kubernetes {
namespace {

using std::chrono::milliseconds;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

const std::string kV1 = "client.authentication.k8s.io/v1";

std::string Printed(const std::string& status, const std::string& version = kV1) {
  return R"({"apiVersion":")" + version + R"(","kind":"ExecCredential","status":)" + status + "}";
}

TEST(ExecInfo, SaysWhetherItMayAsk) {
  EXPECT_EQ(ExecInfo({.api_version = kV1}, true),
            R"({"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",)"
            R"("spec":{"interactive":true}})");
  EXPECT_EQ(ExecInfo({.api_version = kV1, .cluster_json = R"({"server":"https://h"})"}, false),
            R"({"apiVersion":"client.authentication.k8s.io/v1","kind":"ExecCredential",)"
            R"("spec":{"cluster":{"server":"https://h"},"interactive":false}})");
}

TEST(ReadExecCredential, ReadsATokenAndItsEnd) {
  const auto read = ReadExecCredential(
      Printed(R"({"token":"t","expirationTimestamp":"2026-01-01T00:00:00Z"})"), kV1);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, (ExecCredential{.credential = {.token = "t"},
                                   .expires = ParseRfc3339("2026-01-01T00:00:00Z")}));
}

TEST(ReadExecCredential, ReadsACertificateWithoutAnEnd) {
  const auto read = ReadExecCredential(
      Printed(R"({"clientCertificateData":"c","clientKeyData":"k","expirationTimestamp":null})"),
      kV1);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, (ExecCredential{.credential = {.certificate_pem = "c", .key_pem = "k"}}));
}

struct RefusalCase {
  const char* name;
  std::string output;
  const char* message;
};
void PrintTo(const RefusalCase& row, std::ostream* out) { *out << row.name; }

class RefusedOutputTest : public testing::TestWithParam<RefusalCase> {};

TEST_P(RefusedOutputTest, SaysWhatIsWrongAndQuotesNothing) {
  const auto read = ReadExecCredential(GetParam().output, kV1);
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().kind, ErrorKind::kForbidden);
  EXPECT_THAT(read.error().message, AllOf(HasSubstr(GetParam().message), Not(HasSubstr("s3cret"))));
}

INSTANTIATE_TEST_SUITE_P(
    Rows, RefusedOutputTest,
    testing::Values(
        RefusalCase{"Nothing", "", "no ExecCredential in JSON"},
        RefusalCase{"BareToken", "s3cret", "no ExecCredential in JSON"},
        RefusalCase{"OtherKind", R"({"kind":"Secret"})", "no ExecCredential in JSON"},
        RefusalCase{"OtherVersion", Printed(R"({"token":"s3cret"})", kV1 + "beta1"),
                    "it printed apiVersion 'client.authentication.k8s.io/v1beta1', and the "
                    "kubeconfig says client.authentication.k8s.io/v1"},
        RefusalCase{"NoStatus", Printed("null"), "it printed neither status.token nor"},
        RefusalCase{"TokenOfAnotherType", Printed(R"({"token":7})"), "it printed neither"},
        RefusalCase{"HalfACertificate", Printed(R"({"token":"s3cret","clientKeyData":"s3cret"})"),
                    "one and not both"},
        RefusalCase{"NoTime", Printed(R"({"token":"s3cret","expirationTimestamp":"soon"})"),
                    "no time of RFC 3339"}),
    [](const auto& test) { return test.param.name; });

class RunExecLoginTest : public testing::Test {
 protected:
  ExecLogin Login(const std::string& script) const {
    return {.user = "eks",
            .api_version = kV1,
            .command = directory_.WriteProgram("login", script),
            .asking = Asking::kNever};
  }
  static std::string Print(const std::string& status) { return "echo '" + Printed(status) + "'\n"; }
  std::string Read(const std::string& name) const {
    std::ifstream stream(directory_.path() + "/" + name);
    return {std::istreambuf_iterator<char>(stream), {}};
  }

  const TemporaryDirectory directory_;
};

TEST_F(RunExecLoginTest, ProgramIsToldAllThatTheKubeconfigSays) {
  ExecLogin login = Login("cd " + directory_.path() +
                          "\nprintf '%s|' \"$@\" > arguments\n"
                          "echo \"$NAME|$HOME\" > environment\n"
                          "echo \"$KUBERNETES_EXEC_INFO\" > info\n"
                          "tr '\\0' '\\n' < /proc/$$/environ | grep -c ^HOME= > homes\n"
                          "read line; echo \"$?\" > input\n" +
                          Print(R"({"token":"t"})"));
  login.arguments = {"get", "a b"};
  login.environment = {"NAME=value", "HOME=/elsewhere"};
  login.cluster_json = R"({"server":"https://h"})";
  const auto made = RunExecLogin(login, {});
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->credential.token, "t");
  EXPECT_EQ(Read("arguments"), "get|a b|");
  EXPECT_EQ(Read("environment"), "value|/elsewhere\n");
  EXPECT_EQ(Read("homes"), "1\n");  // Instead of ours.
  EXPECT_EQ(Read("info"), ExecInfo(login, false) + "\n");
  EXPECT_EQ(Read("input"), "1\n");  // There is none.
}

TEST_F(RunExecLoginTest, ProgramIsLookedUpInPath) {
  const ExecLogin login{.user = "u", .api_version = kV1, .command = "true"};
  EXPECT_EQ(RunExecLogin(login, {}).error(),
            (Error{ErrorKind::kForbidden,
                   "user u: logging in with true: what it printed is no ExecCredential in JSON"}));
}

TEST_F(RunExecLoginTest, WhatItSaysIsForThePersonAndWhatItPrintsForNobody) {
  testing::internal::CaptureStderr();
  EXPECT_TRUE(RunExecLogin(Login("echo open this page >&2\n" + Print(R"({"token":"t"})")), {}));
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "open this page\n");
}

TEST_F(RunExecLoginTest, FailureNamesUserCommandAndStatus) {
  const ExecLogin login = Login("echo s3cret\nexit 3\n");
  EXPECT_EQ(RunExecLogin(login, {}).error(),
            (Error{ErrorKind::kForbidden,
                   "user eks: logging in with " + login.command + ": exit code 3"}));
}

TEST_F(RunExecLoginTest, ProgramThatIsNotThereComesWithItsHint) {
  EXPECT_EQ(
      RunExecLogin({.user = "u", .command = "/nowhere/login", .install_hint = "get it at x"}, {})
          .error(),
      (Error{ErrorKind::kForbidden,
             "user u: logging in with /nowhere/login: there is no program \"/nowhere/login\" to "
             "execute; install it: get it at x"}));
}

TEST_F(RunExecLoginTest, ProgramThatHangsIsEndedWithAllThatItStarted) {
  const ExecLogin login =
      Login("trap '' TERM\nsleep 300 &\necho $! > " + directory_.path() + "/child\nwait\n");
  const auto made = RunExecLogin(login, {}, {.time = milliseconds(500)});
  EXPECT_EQ(made.error(),
            (Error{ErrorKind::kRetryable, "user eks: logging in with " + login.command +
                                              ": it did not end within 500 ms"}));
  if (Read("child").empty()) return;  // It was ended before it got so far.
  const pid_t child = std::stoi(Read("child"));
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  const auto runs = [child] {
    std::ifstream status("/proc/" + std::to_string(child) + "/stat");
    std::string text(std::istreambuf_iterator<char>(status), {});
    return !text.empty() && text.find(") Z ") == std::string::npos;
  };
  while (runs() && std::chrono::steady_clock::now() < deadline) {
    std::this_thread::sleep_for(milliseconds(10));
  }
  EXPECT_FALSE(runs());
}

TEST_F(RunExecLoginTest, StopEndsIt) {
  std::stop_source stop;
  stop.request_stop();
  const auto made = RunExecLogin(Login("sleep 300\n"), stop.get_token());
  EXPECT_EQ(made.error().kind, ErrorKind::kRetryable);
  EXPECT_THAT(made.error().message, HasSubstr(": stopped"));
}

TEST_F(RunExecLoginTest, OutputWithoutEndIsCutShort) {
  const auto made = RunExecLogin(Login("yes\n"), {}, {.output_bytes_max = 1000});
  EXPECT_EQ(made.error().kind, ErrorKind::kForbidden);
  EXPECT_THAT(made.error().message, HasSubstr("it printed more than 1000 bytes"));
}

// Standard input is a terminal, or none, as long as this lives.
class StandardInput {
 public:
  explicit StandardInput(bool terminal) : kept_(dup(STDIN_FILENO)) {
    int slave = -1;
    if (terminal) {
      master_ = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
      grantpt(master_);
      unlockpt(master_);
      slave = open(ptsname(master_), O_RDWR | O_NOCTTY | O_CLOEXEC);
    } else {
      slave = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    dup2(slave, STDIN_FILENO);
    close(slave);
  }
  ~StandardInput() {
    dup2(kept_, STDIN_FILENO);
    close(kept_);
    if (master_ >= 0) close(master_);
  }
  StandardInput(const StandardInput&) = delete;
  StandardInput& operator=(const StandardInput&) = delete;
  void Type(const std::string& text) const {
    ASSERT_EQ(write(master_, text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }

 private:
  const int kept_;
  int master_ = -1;
};

TEST_F(RunExecLoginTest, ProgramAsksAtTheTerminal) {
  const StandardInput input(/*terminal=*/true);
  input.Type("word\n");
  for (const Asking asking : {Asking::kIfAvailable, Asking::kAlways}) {
    ExecLogin login = Login("echo \"$KUBERNETES_EXEC_INFO\" > " + directory_.path() +
                            "/info\n"
                            "read word\n" +
                            "echo '" + Printed(R"({"token":"WORD"})") + "' | sed s/WORD/$word/\n");
    login.asking = asking;
    const auto made = RunExecLogin(login, {});
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_EQ(made->credential.token, "word");
    EXPECT_EQ(Read("info"), ExecInfo(login, true) + "\n");
    input.Type("word\n");
  }
}

TEST_F(RunExecLoginTest, WithoutATerminalNobodyIsAsked) {
  const StandardInput input(/*terminal=*/false);
  ExecLogin login = Login("echo \"$KUBERNETES_EXEC_INFO\" > " + directory_.path() + "/info\n" +
                          Print(R"({"token":"t"})"));
  login.asking = Asking::kIfAvailable;
  ASSERT_TRUE(RunExecLogin(login, {}));
  EXPECT_EQ(Read("info"), ExecInfo(login, false) + "\n");
  login.asking = Asking::kAlways;
  const auto made = RunExecLogin(login, {});
  EXPECT_EQ(made.error().kind, ErrorKind::kForbidden);
  EXPECT_THAT(made.error().message, HasSubstr("standard input is no terminal"));
}

}  // namespace
}  // namespace lanekeeper::kubernetes
