#include "worker-runtime/handlers/json_payload.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>

namespace lanekeeper {

struct Resize {
  std::string url;
  int width = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Resize, url, width)

namespace {

Job JobWith(std::string payload) { return Job({.payload = std::move(payload)}, {}); }

TEST(PayloadAsTest, ReadsTheType) {
  const auto resize = PayloadAs<Resize>(JobWith(R"({"url":"u","width":200})"));
  ASSERT_TRUE(resize) << resize.error().message;
  EXPECT_EQ(resize->url, "u");
  EXPECT_EQ(resize->width, 200);
}

TEST(PayloadAsTest, AnErrorNamesTheField) {
  const std::pair<const char*, const char*> rows[] = {
      {R"({"url":"u"})", "decoding the payload: key 'width' not found"},
      {R"({"url":"u","width":"wide"})",
       "decoding the payload: (/width) type must be number, but is string"},
  };
  for (const auto& [payload, message] : rows) {
    const auto resize = PayloadAs<Resize>(JobWith(payload));
    ASSERT_FALSE(resize) << payload;
    EXPECT_EQ(resize.error().kind, ErrorKind::kInvalid);
    EXPECT_EQ(resize.error().message, message);
  }
  EXPECT_FALSE(PayloadAs<Resize>(JobWith("{")));
}

TEST(JsonHandlerTest, RejectsWhatItCannotDecode) {
  const Handler handler = JsonHandler<Resize>(
      [](Job&, const Resize& resize) -> Outcome { return Done{std::to_string(resize.width)}; });
  Job good = JobWith(R"({"url":"u","width":200})");
  EXPECT_EQ(handler(good), Outcome(Done{"200"}));
  Job bad = JobWith(R"({"url":"u"})");
  EXPECT_EQ(handler(bad),
            Outcome(Rejected{"decoding the payload: key 'width' not found", "payload"}));
}

}  // namespace
}  // namespace lanekeeper
