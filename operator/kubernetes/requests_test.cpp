#include "operator/kubernetes/requests.h"

#include <gtest/gtest.h>

namespace lanekeeper::kubernetes {
namespace {

// As it would stand in an access log.
std::string Line(const Request& request) {
  std::string line = request.method + " " + request.path;
  if (!request.query.empty()) line += "?" + request.query;
  return line;
}

struct RequestCase {
  const char* name;
  Request request;
  const char* line;
  const char* content_type;
  const char* body;
};
void PrintTo(const RequestCase& row, std::ostream* out) { *out << row.name; }

class RequestsTest : public testing::TestWithParam<RequestCase> {};

TEST_P(RequestsTest, GoesOverTheWireAs) {
  const RequestCase& row = GetParam();
  EXPECT_EQ(Line(row.request), row.line);
  EXPECT_EQ(row.request.content_type, row.content_type);
  EXPECT_EQ(row.request.body, row.body);
}

const ObjectName kShort{"studio", "media-short"};

INSTANTIATE_TEST_SUITE_P(
    Rows, RequestsTest,
    testing::Values(
        RequestCase{"ListOfAllNamespaces", ListRequest(kWorkerPools, {}),
                    "GET /apis/lanekeeper.dev/v1alpha1/workerpools", "", ""},
        RequestCase{
            "FirstPage",
            ListRequest(kDeployments, {.only_namespace = "studio",
                                       .label_selector = "app.kubernetes.io/managed-by=lanekeeper",
                                       .limit = 500}),
            "GET /apis/apps/v1/namespaces/studio/deployments"
            "?labelSelector=app.kubernetes.io%2Fmanaged-by%3Dlanekeeper&limit=500",
            "", ""},
        RequestCase{"NextPage",
                    ListRequest(kDeployments, {.limit = 500, .continue_token = "eyJ2IjoiL+8ifQ=="}),
                    "GET /apis/apps/v1/deployments?limit=500&continue=eyJ2IjoiL%2B8ifQ%3D%3D", "",
                    ""},
        RequestCase{"WatchAsksForBookmarks",
                    WatchRequest(kWorkerPools,
                                 {.resource_version = "42", .timeout = std::chrono::seconds(60)}),
                    "GET /apis/lanekeeper.dev/v1alpha1/workerpools"
                    "?watch=true&allowWatchBookmarks=true&resourceVersion=42&timeoutSeconds=60",
                    "", ""},
        RequestCase{"Get", GetRequest(kDeployments, kShort),
                    "GET /apis/apps/v1/namespaces/studio/deployments/media-short", "", ""},
        RequestCase{"ApplyWinsInOurName", ApplyRequest(kDeployments, kShort, "{}"),
                    "PATCH /apis/apps/v1/namespaces/studio/deployments/media-short"
                    "?fieldManager=lanekeeper&force=true",
                    "application/apply-patch+yaml", "{}"},
        RequestCase{"MergePatch",
                    MergePatchRequest(kDeployments, kShort, R"({"spec":{"replicas":3}})"),
                    "PATCH /apis/apps/v1/namespaces/studio/deployments/media-short"
                    "?fieldManager=lanekeeper",
                    "application/merge-patch+json", R"({"spec":{"replicas":3}})"},
        RequestCase{"StatusIsASubresource",
                    MergePatchStatusRequest(kWorkerPools, {"studio", "media"}, R"({"status":{}})"),
                    "PATCH /apis/lanekeeper.dev/v1alpha1/namespaces/studio/workerpools/media/status"
                    "?fieldManager=lanekeeper",
                    "application/merge-patch+json", R"({"status":{}})"},
        RequestCase{"CreateInTheCoreGroup", CreateRequest(kEvents, "studio", "{}"),
                    "POST /api/v1/namespaces/studio/events?fieldManager=lanekeeper",
                    "application/json", "{}"},
        RequestCase{"DeleteOfExactlyThisOne", DeleteRequest(kDeployments, kShort, "u-1"),
                    "DELETE /apis/apps/v1/namespaces/studio/deployments/media-short",
                    "application/json",
                    R"({"apiVersion":"v1","kind":"DeleteOptions","preconditions":{"uid":"u-1"},)"
                    R"("propagationPolicy":"Background"})"},
        RequestCase{
            "DeleteOfWhateverIsThere", DeleteRequest(kDeployments, kShort, ""),
            "DELETE /apis/apps/v1/namespaces/studio/deployments/media-short", "application/json",
            R"({"apiVersion":"v1","kind":"DeleteOptions","propagationPolicy":"Background"})"},
        RequestCase{
            "DeleteThatWaitsForWhatItOwns",
            DeleteRequest(kDeployments, kShort, "", Propagation::kForeground),
            "DELETE /apis/apps/v1/namespaces/studio/deployments/media-short", "application/json",
            R"({"apiVersion":"v1","kind":"DeleteOptions","propagationPolicy":"Foreground"})"},
        RequestCase{
            "NamesCannotLeaveTheirPlace",
            GetRequest(kDeployments, {"a/../b", "x?watch=true#\xC3\xA9 "}),
            "GET /apis/apps/v1/namespaces/a%2F..%2Fb/deployments/x%3Fwatch%3Dtrue%23%C3%A9%20", "",
            ""}),
    [](const auto& test) { return test.param.name; });

TEST(Requests, OnlyAGetIsNoWrite) {
  EXPECT_FALSE(IsWrite(GetRequest(kDeployments, kShort)));
  EXPECT_FALSE(IsWrite(WatchRequest(kDeployments, {})));
  EXPECT_TRUE(IsWrite(ApplyRequest(kDeployments, kShort, "{}")));
  EXPECT_TRUE(IsWrite(CreateRequest(kEvents, "studio", "{}")));
  EXPECT_TRUE(IsWrite(DeleteRequest(kDeployments, kShort, "")));
}

}  // namespace
}  // namespace lanekeeper::kubernetes
