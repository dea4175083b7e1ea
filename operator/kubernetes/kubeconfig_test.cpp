#include "operator/kubernetes/kubeconfig.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>

namespace lanekeeper::kubernetes {
namespace {

using testing::HasSubstr;

// A directory that is gone after the test.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string path = (std::filesystem::temp_directory_path() / "lanekeeper-XXXXXX").string();
    path_ = mkdtemp(path.data());
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  std::string Write(const std::string& name, const std::string& contents) const {
    std::ofstream(path_ + "/" + name) << contents;
    return path_ + "/" + name;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

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

struct RefusalCase {
  const char* name;
  std::string text;
  const char* context;
  const char* message;
};
void PrintTo(const RefusalCase& row, std::ostream* out) { *out << row.name; }

class RefusedKubeConfigTest : public testing::TestWithParam<RefusalCase> {};

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
        RefusalCase{"Empty", "", "", "this is not a kubeconfig"},
        RefusalCase{"NotYaml", "a: [", "", "reading YAML"},
        RefusalCase{"List", "- a", "", "this is not a kubeconfig"},
        RefusalCase{"NoCurrentContext", "contexts: []", "", "there is no current-context"},
        RefusalCase{"UnknownContext", Config(kServer, ""), "three",
                    "there is no context named \"three\""},
        RefusalCase{"UnknownCluster", Config(kServer, ""), "lost",
                    "context lost: there is no cluster named \"nowhere\""},
        RefusalCase{"ListsOfTheWrongType", "current-context: a\ncontexts: 7", "",
                    "there is no context named \"a\""},
        RefusalCase{"Exec", Config(kServer, "exec: {command: aws}"), "",
                    "(exec), which is not supported yet; use a user with a client certificate"},
        RefusalCase{"AuthProvider", Config(kServer, "auth-provider: {name: gcp}"), "",
                    "(auth-provider), which is not supported yet"},
        RefusalCase{"Password", Config(kServer, "username: a, password: b"), "", "password"},
        RefusalCase{"KeyWithoutCertificate", Config(kServer, "client-key-data: a2V5"), "",
                    "belong together"},
        RefusalCase{"NotBase64", Config(kServer, "token: t, client-key-data: '%%'"), "",
                    "client-key-data is not base64"},
        RefusalCase{"MissingFile", Config(std::string(kServer) + ", certificate-authority: ca", ""),
                    "", "certificate-authority: cannot read /nowhere/ca"},
        RefusalCase{"NoServer", Config("", ""), "", "does not begin with https://"},
        RefusalCase{"OtherScheme", Config("server: 'ftp://h'", ""), "", "is not https or http"},
        RefusalCase{"NoHost", Config("server: 'https://'", ""), "", "names no host"},
        RefusalCase{"BadPort", Config("server: 'https://h:70000'", ""), "", "no valid port"},
        RefusalCase{"PortOfLetters", Config("server: 'https://h:x'", ""), "", "no valid port"},
        RefusalCase{"BareIPv6", Config("server: 'https://fd00::1'", ""), "", "needs brackets"},
        RefusalCase{"OpenBracket", Config("server: 'https://[::1'", ""), "", "without its ']'"}),
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
  EXPECT_THAT(FindKubeConfig("", "", Environment({{"KUBECONFIG", "a:b"}})).error().message,
              HasSubstr("kubectl config view --flatten"));
  EXPECT_THAT(FindKubeConfig("", "", Environment({{"HOME", "/nowhere"}})).error().message,
              HasSubstr("no cluster to talk to"));
}

TEST(TokenSource, WithoutAFileTheTokenStays) {
  TokenSource tokens({.token = "t0"});
  EXPECT_EQ(tokens.Current(MonotonicTime()), "t0");
  EXPECT_FALSE(tokens.Renew("t0", MonotonicTime()));
}

TEST(TokenSource, FileIsReadAgainAfterAMinute) {
  const TemporaryDirectory directory;
  const std::string file = directory.Write("token", "t0\n");
  TokenSource tokens({.token = "ignored", .token_file = file});
  const MonotonicTime begin;
  EXPECT_EQ(tokens.Current(begin), "t0");
  directory.Write("token", "t1\n");
  EXPECT_EQ(tokens.Current(begin + std::chrono::seconds(59)), "t0");
  EXPECT_EQ(tokens.Current(begin + kTokenAge), "t1");
}

TEST(TokenSource, RefusedTokenIsReadAgainAtOnce) {
  const TemporaryDirectory directory;
  const std::string file = directory.Write("token", "t0");
  TokenSource tokens({.token_file = file});
  EXPECT_EQ(tokens.Current(MonotonicTime()), "t0");
  EXPECT_FALSE(tokens.Renew("t0", MonotonicTime()));  // Still the same.
  directory.Write("token", "t1");
  EXPECT_TRUE(tokens.Renew("t0", MonotonicTime()));
  EXPECT_EQ(tokens.Current(MonotonicTime()), "t1");
  EXPECT_TRUE(tokens.Renew("t0", MonotonicTime()));  // Another call was refused with the old one.
}

TEST(TokenSource, UnreadableFileLeavesTheLastToken) {
  const TemporaryDirectory directory;
  const std::string file = directory.Write("token", "t0");
  TokenSource tokens({.token_file = file});
  EXPECT_EQ(tokens.Current(MonotonicTime()), "t0");
  std::filesystem::remove(file);
  EXPECT_EQ(tokens.Current(MonotonicTime() + 2 * kTokenAge), "t0");
  directory.Write("token", "");  // In the middle of a rotation.
  EXPECT_EQ(tokens.Current(MonotonicTime() + 4 * kTokenAge), "t0");
}

}  // namespace
}  // namespace lanekeeper::kubernetes
