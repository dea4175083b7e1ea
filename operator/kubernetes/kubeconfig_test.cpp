#include "operator/kubernetes/kubeconfig.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "operator/kubernetes/temporary_directory.h"

namespace lanekeeper::kubernetes {
namespace {

using testing::HasSubstr;

std::string Config(const std::string& cluster, const std::string& user) {
  return "apiVersion: v1\n"
         "kind: Config\n"
         "current-context: one\n"
         "contexts:\n"
         "- {name: two, context: {cluster: c2, user: u}}\n"
         "- {name: one, context: {cluster: c, user: u, namespace: studio}}\n"
         "- {name: lost, context: {cluster: nowhere, user: u}}\n"
         "clusters:\n"
         "- {name: c2, cluster: {server: 'http://two'}}\n"
         "- {name: c, cluster: {" +
         cluster +
         "}}\n"
         "users:\n"
         "- {name: u, user: {" +
         user + "}}\n";
}

const std::string kExecV1 = "client.authentication.k8s.io/v1";
std::string Exec(const std::string& version, const std::string& rest) {
  return "exec: {apiVersion: " + version + ", " + rest + "}";
}

const char* const kServer = "server: 'https://10.0.0.1:6443'";

TEST(ParseKubeConfig, ReadsTheCurrentContext) {
  const Result<KubeConfig> config = ParseKubeConfig(
      Config("server: 'https://10.0.0.1:6443', certificate-authority-data: Y2E=, "
             "tls-server-name: api",
             "client-certificate-data: Y2VydA==, client-key-data: 'a2V5', token: t0"),
      "", "");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(*config, (KubeConfig{.host = "10.0.0.1",
                                 .port = 6443,
                                 .ca_pem = "ca",
                                 .tls_server_name = "api",
                                 .client_certificate_pem = "cert",
                                 .client_key_pem = "key",
                                 .token = "t0",
                                 .default_namespace = "studio"}));
}

TEST(ParseKubeConfig, ReadsTheNamedContext) {
  const Result<KubeConfig> config = ParseKubeConfig(Config(kServer, ""), "", "two");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->host, "two");
  EXPECT_EQ(config->scheme, "http");
  EXPECT_EQ(config->port, 80);
  EXPECT_EQ(config->default_namespace, "default");
}

TEST(ParseKubeConfig, ReadsFilesBesideIt) {
  const TemporaryDirectory directory;
  directory.Write("ca.crt", "the authority");
  directory.Write("cert", "the certificate");
  const std::string key = directory.Write("key", "the key");
  const std::string file = directory.Write(
      "config", Config(std::string(kServer) + ", certificate-authority: ca.crt",
                       "client-certificate: cert, client-key: " + key + ", tokenFile: token"));
  const Result<KubeConfig> config = ReadKubeConfig(file, "");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->ca_pem, "the authority");
  EXPECT_EQ(config->client_certificate_pem, "the certificate");
  EXPECT_EQ(config->client_key_pem, "the key");
  EXPECT_EQ(config->token_file, directory.path() + "/token");
}

struct ServerCase {
  const char* name;
  const char* server;
  const char* scheme;
  const char* host;
  int port;
  const char* path;
};
void PrintTo(const ServerCase& row, std::ostream* out) { *out << row.name; }

class ServerTest : public testing::TestWithParam<ServerCase> {};

TEST_P(ServerTest, IsTakenApart) {
  const ServerCase& row = GetParam();
  const Result<KubeConfig> config =
      ParseKubeConfig(Config("server: '" + std::string(row.server) + "'", ""), "", "");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(config->scheme, row.scheme);
  EXPECT_EQ(config->host, row.host);
  EXPECT_EQ(config->port, row.port);
  EXPECT_EQ(config->path, row.path);
}

INSTANTIATE_TEST_SUITE_P(
    Rows, ServerTest,
    testing::Values(
        ServerCase{"Name", "https://api.example.com", "https", "api.example.com", 443, ""},
        ServerCase{"TrailingSlash", "https://h:1/", "https", "h", 1, ""},
        ServerCase{"Prefix", "https://h/k8s/clusters/c-1/", "https", "h", 443, "/k8s/clusters/c-1"},
        ServerCase{"Plain", "http://127.0.0.1:8001", "http", "127.0.0.1", 8001, ""},
        ServerCase{"IPv6", "https://[fd00::1]:6443", "https", "fd00::1", 6443, ""},
        ServerCase{"IPv6WithoutPort", "https://[::1]", "https", "::1", 443, ""}),
    [](const auto& test) { return test.param.name; });

struct KubeconfigRefusalCase {
  const char* name;
  std::string text;
  const char* context;
  const char* message;
};
void PrintTo(const KubeconfigRefusalCase& row, std::ostream* out) { *out << row.name; }

class RefusedKubeConfigTest : public testing::TestWithParam<KubeconfigRefusalCase> {};

TEST_P(RefusedKubeConfigTest, SaysWhatIsWrong) {
  const Result<KubeConfig> config =
      ParseKubeConfig(GetParam().text, "/nowhere", GetParam().context);
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().kind, ErrorKind::kInvalid);
  EXPECT_THAT(config.error().message, HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Rows, RefusedKubeConfigTest,
    testing::Values(
        KubeconfigRefusalCase{"Empty", "", "", "this is not a kubeconfig"},
        KubeconfigRefusalCase{"NotYaml", "a: [", "", "reading YAML"},
        KubeconfigRefusalCase{"List", "- a", "", "this is not a kubeconfig"},
        KubeconfigRefusalCase{"NoCurrentContext", "contexts: []", "",
                              "there is no current-context"},
        KubeconfigRefusalCase{"UnknownContext", Config(kServer, ""), "three",
                              "there is no context named \"three\""},
        KubeconfigRefusalCase{"UnknownCluster", Config(kServer, ""), "lost",
                              "context lost: there is no cluster named \"nowhere\""},
        KubeconfigRefusalCase{"ListsOfTheWrongType", "current-context: a\ncontexts: 7", "",
                              "there is no context named \"a\""},
        KubeconfigRefusalCase{
            "ExecWithoutCommand", Config(kServer, Exec(kExecV1, "args: [a]")), "",
            "context one: user u: exec: command: the program to run must be given"},
        KubeconfigRefusalCase{"ExecThatIsNoObject", Config(kServer, "exec: aws"), "",
                              "command: the program"},
        KubeconfigRefusalCase{"ExecOfAnOldVersion",
                              Config(kServer, Exec(kExecV1 + "alpha1", "command: aws")), "",
                              "exec: apiVersion: 'client.authentication.k8s.io/v1alpha1' must be "
                              "client.authentication.k8s.io/v1 or"},
        KubeconfigRefusalCase{"ExecWithoutMode", Config(kServer, Exec(kExecV1, "command: aws")), "",
                              "exec: interactiveMode: must be given with apiVersion"},
        KubeconfigRefusalCase{
            "ExecOfAnUnknownMode",
            Config(kServer, Exec(kExecV1, "command: aws, interactiveMode: Often")), "",
            "interactiveMode: 'Often' must be Never, IfAvailable or Always"},
        KubeconfigRefusalCase{"ExecArgumentOfAnotherType",
                              Config(kServer, Exec(kExecV1 + "beta1", "command: aws, args: [7]")),
                              "", "args: 7 must be text: quote it"},
        KubeconfigRefusalCase{
            "ExecVariableWithoutName",
            Config(kServer, Exec(kExecV1 + "beta1", "command: aws, env: [{value: a}]")), "",
            "env: each needs a name"},
        KubeconfigRefusalCase{
            "ExecVariableOfAnotherType",
            Config(kServer, Exec(kExecV1 + "beta1", "command: aws, env: [{name: A, value: 1}]")),
            "", "env: the value of A must be text: quote it"},
        KubeconfigRefusalCase{
            "AuthProvider", Config(kServer, "auth-provider: {name: gcp}"), "",
            "auth-provider, which Kubernetes no longer knows; make the entry anew"},
        KubeconfigRefusalCase{"Password", Config(kServer, "username: a, password: b"), "",
                              "password"},
        KubeconfigRefusalCase{"KeyWithoutCertificate", Config(kServer, "client-key-data: a2V5"), "",
                              "belong together"},
        KubeconfigRefusalCase{"NotBase64", Config(kServer, "token: t, client-key-data: '%%'"), "",
                              "client-key-data is not base64"},
        KubeconfigRefusalCase{"MissingFile",
                              Config(std::string(kServer) + ", certificate-authority: ca", ""), "",
                              "certificate-authority: cannot read /nowhere/ca"},
        KubeconfigRefusalCase{"NoServer", Config("", ""), "", "does not begin with https://"},
        KubeconfigRefusalCase{"OtherScheme", Config("server: 'ftp://h'", ""), "",
                              "is not https or http"},
        KubeconfigRefusalCase{"NoHost", Config("server: 'https://'", ""), "", "names no host"},
        KubeconfigRefusalCase{"BadPort", Config("server: 'https://h:70000'", ""), "",
                              "no valid port"},
        KubeconfigRefusalCase{"PortOfLetters", Config("server: 'https://h:x'", ""), "",
                              "no valid port"},
        KubeconfigRefusalCase{"BareIPv6", Config("server: 'https://fd00::1'", ""), "",
                              "needs brackets"},
        KubeconfigRefusalCase{"OpenBracket", Config("server: 'https://[::1'", ""), "",
                              "without its ']'"}),
    [](const auto& test) { return test.param.name; });

EnvironmentLookup Environment(std::map<std::string, std::string> variables) {
  return [variables](const std::string& name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  };
}

TEST(InClusterKubeConfig, ReadsWhatEveryPodFinds) {
  const TemporaryDirectory directory;
  directory.Write("ca.crt", "the authority");
  directory.Write("token", "t0\n");
  directory.Write("namespace", "lanekeeper-system");
  for (const auto& [host, port] : {std::pair("10.96.0.1", "443"), std::pair("fd00::1", "8443")}) {
    const Result<KubeConfig> config = InClusterKubeConfig(
        Environment({{"KUBERNETES_SERVICE_HOST", host}, {"KUBERNETES_SERVICE_PORT", port}}),
        directory.path());
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_EQ(*config, (KubeConfig{.host = host,
                                   .port = std::stoi(port),
                                   .ca_pem = "the authority",
                                   .token_file = directory.path() + "/token",
                                   .default_namespace = "lanekeeper-system"}));
  }
}

TEST(InClusterKubeConfig, OutsideOfAPodThereIsNone) {
  EXPECT_EQ(InClusterKubeConfig(Environment({})).error().kind, ErrorKind::kNotFound);
  // A pod without a service account token.
  EXPECT_EQ(InClusterKubeConfig(
                Environment({{"KUBERNETES_SERVICE_HOST", "h"}, {"KUBERNETES_SERVICE_PORT", "1"}}),
                "/nowhere")
                .error()
                .kind,
            ErrorKind::kNotFound);
}

TEST(FindKubeConfig, LooksInItsOrder) {
  const TemporaryDirectory directory;
  const std::string flag = directory.Write("flag", Config("server: 'https://flag'", ""));
  const std::string variable =
      directory.Write("variable", Config("server: 'https://variable'", ""));
  std::filesystem::create_directory(directory.path() + "/.kube");
  directory.Write(".kube/config", Config("server: 'https://home'", ""));
  const std::string home = directory.path();

  EXPECT_EQ(FindKubeConfig(flag, "", Environment({{"KUBECONFIG", variable}}))->host, "flag");
  EXPECT_EQ(FindKubeConfig("", "", Environment({{"KUBECONFIG", variable}, {"HOME", home}}))->host,
            "variable");
  EXPECT_EQ(FindKubeConfig("", "", Environment({{"HOME", home}}))->host, "home");

  EXPECT_EQ(FindKubeConfig("/nowhere", "", Environment({{"HOME", home}})).error(),
            (Error{ErrorKind::kNotFound, "cannot read /nowhere"}));
  EXPECT_THAT(FindKubeConfig("", "", Environment({{"HOME", "/nowhere"}})).error().message,
              HasSubstr("no cluster to talk to"));
}

TEST(FindKubeConfig, OfSeveralFilesTheFirstThatHasAnEntryCounts) {
  const TemporaryDirectory directory;
  const std::string first = directory.Write("first",
                                            "clusters:\n"
                                            "- {name: c, cluster: {server: 'https://first'}}\n"
                                            "users:\n"
                                            "- {name: u, user: {token: t-first}}\n");
  std::filesystem::create_directory(directory.path() + "/sub");
  directory.Write("sub/ca.crt", "the authority");
  const std::string second = directory.Write(
      "sub/second", Config("server: 'https://second', certificate-authority: ca.crt",
                           "client-certificate-data: Y2VydA==, client-key-data: a2V5"));
  const auto with = [](const std::string& files, const std::string& context = "") {
    return FindKubeConfig("", context, Environment({{"KUBECONFIG", files}}));
  };
  // Whole: nothing of the second's entries of the same name.
  const Result<KubeConfig> config = with(first + ":" + second);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(*config,
            (KubeConfig{.host = "first", .token = "t-first", .default_namespace = "studio"}));
  // What is only there comes from there, relative paths included.
  EXPECT_EQ(with(first + ":" + second, "two")->host, "two");
  EXPECT_EQ(with(second + ":" + first)->ca_pem, "the authority");
  EXPECT_EQ(with(second + ":" + first)->token, "");

  EXPECT_EQ(with("/nowhere::" + second)->host, "second");
  EXPECT_EQ(with("/nowhere:/nowhere/else").error(),
            (Error{ErrorKind::kNotFound, "cannot read any of /nowhere:/nowhere/else"}));
  EXPECT_EQ(
      with(first + ":" + second, "three").error(),
      (Error{ErrorKind::kInvalid, first + ":" + second + ": there is no context named \"three\""}));
  const std::string broken = directory.Write("broken", "a: [");
  EXPECT_THAT(with(first + ":" + broken).error().message, HasSubstr(broken + ": reading YAML"));
}

TEST(ParseKubeConfig, ReadsHowToLogInWithAProgram) {
  const Result<KubeConfig> config = ParseKubeConfig(
      Config("server: 'https://h:1', certificate-authority-data: Y2E=, extensions: [{name: "
             "client.authentication.k8s.io/exec, extension: {zone: a}}]",
             "exec: {apiVersion: client.authentication.k8s.io/v1, command: bin/login, args: [a, "
             "'7'], env: [{name: A, value: b}], installHint: get it, interactiveMode: Never, "
             "provideClusterInfo: true}"),
      "/etc/k", "");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(*config->exec,
            (ExecLogin{.user = "u",
                       .api_version = "client.authentication.k8s.io/v1",
                       .command = "/etc/k/bin/login",
                       .arguments = {"a", "7"},
                       .environment = {"A=b"},
                       .install_hint = "get it",
                       .asking = Asking::kNever,
                       .cluster_json = R"({"certificate-authority-data":"Y2E=",)"
                                       R"("config":{"zone":"a"},"server":"https://h:1"})"}));
}

TEST(ParseKubeConfig, OfAProgramMuchMayBeLeftOut) {
  const Result<KubeConfig> config = ParseKubeConfig(
      Config(kServer, "exec: {apiVersion: client.authentication.k8s.io/v1beta1, command: aws}"),
      "/etc/k", "");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ(*config->exec, (ExecLogin{.user = "u",
                                      .api_version = "client.authentication.k8s.io/v1beta1",
                                      .command = "aws",
                                      .asking = Asking::kIfAvailable}));
}

TEST(ParseKubeConfig, WithATokenNoProgramIsNeeded) {
  for (const char* token : {"token: t", "tokenFile: t"}) {
    EXPECT_FALSE(
        ParseKubeConfig(Config(kServer, std::string("exec: {command: aws}, ") + token), "", "")
            ->exec);
  }
}

}  // namespace
}  // namespace lanekeeper::kubernetes
