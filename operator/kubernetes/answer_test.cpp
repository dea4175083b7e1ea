#include <gtest/gtest.h>

#include "operator/kubernetes/api.h"

namespace lanekeeper::kubernetes {
namespace {

struct Case {
  const char* name;
  Answer answer;
  ErrorKind kind;
  const char* message;
};
void PrintTo(const Case& row, std::ostream* out) { *out << row.name; }

class RefusedAnswerTest : public testing::TestWithParam<Case> {};

TEST_P(RefusedAnswerTest, BecomesTheErrorThatSaysWhatToDo) {
  const Result<Answer> accepted = Accepted(GetParam().answer);
  ASSERT_FALSE(accepted);
  EXPECT_EQ(accepted.error(), (Error{GetParam().kind, GetParam().message}));
}

INSTANTIATE_TEST_SUITE_P(
    Rows, RefusedAnswerTest,
    testing::Values(
        Case{"NotFound",
             {404, R"({"kind":"Status","message":"deployments \"x\" not found"})"},
             ErrorKind::kNotFound,
             "404 deployments \"x\" not found"},
        Case{"BadRequest", {400, R"({"message":"no"})"}, ErrorKind::kInvalid, "400 no"},
        Case{"Unprocessable",
             {422, R"({"message":"spec.replicas: Invalid value: -1"})"},
             ErrorKind::kInvalid,
             "422 spec.replicas: Invalid value: -1"},
        Case{"UidOfAnObjectThatWasReplaced",
             {422, R"({"message":"immutable","details":{"causes":[{"field":"metadata.uid"}]}})"},
             ErrorKind::kRetryable,
             "422 immutable"},
        Case{"WrongMediaType", {415, R"({"message":"no"})"}, ErrorKind::kInvalid, "415 no"},
        Case{"Unauthorized",
             {401, R"({"message":"Unauthorized"})"},
             ErrorKind::kForbidden,
             "401 Unauthorized"},
        Case{"Forbidden", {403, R"({"message":"no"})"}, ErrorKind::kForbidden, "403 no"},
        Case{"Conflict", {409, R"({"message":"no"})"}, ErrorKind::kRetryable, "409 no"},
        Case{"Gone", {410, R"({"message":"too old"})"}, ErrorKind::kRetryable, "410 too old"},
        Case{"TooManyRequestsSaysWhen",
             {429, R"({"message":"no"})", std::chrono::seconds(3)},
             ErrorKind::kRetryable,
             "429 no, retry after 3 s"},
        Case{"ServerError", {500, R"({"message":"no"})"}, ErrorKind::kRetryable, "500 no"},
        Case{"Unavailable", {503, ""}, ErrorKind::kRetryable, "503 "},
        Case{"ProxyPageOnOneLine",
             {502, "<html>\nBad\r\nGateway"},
             ErrorKind::kRetryable,
             "502 <html> Bad  Gateway"},
        Case{"RedirectIsNotFollowed", {301, ""}, ErrorKind::kRetryable, "301 "},
        Case{"MessageOfTheWrongType",
             {403, R"({"message":7})"},
             ErrorKind::kForbidden,
             R"(403 {"message":7})"}),
    [](const auto& test) { return test.param.name; });

TEST(Accepted, HandsOnWhatIsGood) {
  for (const int status : {200, 201, 202}) {
    const Result<Answer> accepted = Accepted({status, "{}"});
    ASSERT_TRUE(accepted);
    EXPECT_EQ(accepted->body, "{}");
  }
}

TEST(Accepted, CutsALongMessage) {
  EXPECT_LT(Accepted({500, std::string(1'000'000, 'x')}).error().message.size(), 1100u);
}

}  // namespace
}  // namespace lanekeeper::kubernetes
