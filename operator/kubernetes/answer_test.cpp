#include <gtest/gtest.h>

#include "operator/kubernetes/api.h"

namespace lanekeeper::kubernetes {
namespace {

struct AnswerCase {
  const char* name;
  Answer answer;
  ErrorKind kind;
  const char* message;
};
void PrintTo(const AnswerCase& row, std::ostream* out) { *out << row.name; }

class RefusedAnswerTest : public testing::TestWithParam<AnswerCase> {};

TEST_P(RefusedAnswerTest, BecomesTheErrorThatSaysWhatToDo) {
  const Result<Answer> accepted = Accepted(GetParam().answer);
  ASSERT_FALSE(accepted);
  EXPECT_EQ(accepted.error(), (Error{GetParam().kind, GetParam().message}));
}

INSTANTIATE_TEST_SUITE_P(
    Rows, RefusedAnswerTest,
    testing::Values(
        AnswerCase{"NotFound",
                   {404, R"({"kind":"Status","message":"deployments \"x\" not found"})"},
                   ErrorKind::kNotFound,
                   "404 deployments \"x\" not found"},
        AnswerCase{"BadRequest", {400, R"({"message":"no"})"}, ErrorKind::kInvalid, "400 no"},
        AnswerCase{"Unprocessable",
                   {422, R"({"message":"spec.replicas: Invalid value: -1"})"},
                   ErrorKind::kInvalid,
                   "422 spec.replicas: Invalid value: -1"},
        AnswerCase{
            "UidOfAnObjectThatWasReplaced",
            {422, R"({"message":"immutable","details":{"causes":[{"field":"metadata.uid"}]}})"},
            ErrorKind::kRetryable,
            "422 immutable"},
        AnswerCase{"WrongMediaType", {415, R"({"message":"no"})"}, ErrorKind::kInvalid, "415 no"},
        AnswerCase{"Unauthorized",
                   {401, R"({"message":"Unauthorized"})"},
                   ErrorKind::kForbidden,
                   "401 Unauthorized"},
        AnswerCase{"Forbidden", {403, R"({"message":"no"})"}, ErrorKind::kForbidden, "403 no"},
        AnswerCase{"Conflict", {409, R"({"message":"no"})"}, ErrorKind::kRetryable, "409 no"},
        AnswerCase{"Gone", {410, R"({"message":"too old"})"}, ErrorKind::kRetryable, "410 too old"},
        AnswerCase{"TooManyRequestsSaysWhen",
                   {429, R"({"message":"no"})", std::chrono::seconds(3)},
                   ErrorKind::kRetryable,
                   "429 no, retry after 3 s"},
        AnswerCase{"ServerError", {500, R"({"message":"no"})"}, ErrorKind::kRetryable, "500 no"},
        AnswerCase{"Unavailable", {503, ""}, ErrorKind::kRetryable, "503 "},
        AnswerCase{"ProxyPageOnOneLine",
                   {502, "<html>\nBad\r\nGateway"},
                   ErrorKind::kRetryable,
                   "502 <html> Bad  Gateway"},
        AnswerCase{"RedirectIsNotFollowed", {301, ""}, ErrorKind::kRetryable, "301 "},
        AnswerCase{"MessageOfTheWrongType",
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
