#include "worker-runtime/nats/pool_brief_json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

namespace lanekeeper::nats {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

PoolBrief FullBrief() {
  return {.pool_namespace = "studio",
          .pool = "media",
          .lanes = {{.name = "short",
                     .stream = "LK_studio_media_short",
                     .consumer = "workers",
                     .depth_max = 500,
                     .timeout = milliseconds(2500),
                     .admission = {.wait_max = milliseconds(60000), .caller_depth_max = 100}},
                    {.name = "films",
                     .lane_class = "Gpu",
                     .stream = "ORDERS",
                     .consumer = "mine",
                     .external = true,
                     .tracking = Tracking::kNone}},
          .routes = {{"thumbnail", "short"}, {"film", "films"}},
          .routing = Routing::kLearned,
          .paused = true};
}

TEST(PoolBriefJson, ReadsBackEverythingItWrote) {
  const PoolBrief brief = FullBrief();
  const auto read = ReadPoolBrief(WritePoolBrief(brief));
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(*read, brief);
}

TEST(PoolBriefJson, WritesTheShapeTheHeaderShows) {
  PoolBrief brief = FullBrief();
  brief.lanes.pop_back();
  brief.routes.pop_back();
  brief.routing = Routing::kRoutes;
  brief.paused = false;
  EXPECT_EQ(json::parse(WritePoolBrief(brief)), json::parse(R"({
      "v":1,"namespace":"studio","pool":"media","routing":"Routes","paused":false,
      "lanes":[{"name":"short","class":"Short","stream":"LK_studio_media_short",
                "consumer":"workers","max_depth":500,"tracking":"Full","timeout_ms":2500,
                "admission":{"max_wait_ms":60000,"max_per_caller":100}}],
      "routes":[{"type":"thumbnail","lane":"short"}]})"));
}

TEST(PoolBriefJson, WhatIsLeftOutHasItsDefaultAndWhatIsNewIsPassedOver) {
  const auto read = ReadPoolBrief(R"({"v":2,"namespace":"a","pool":"b","from the future":[1],
      "lanes":[{"name":"c","stream":"S","consumer":"workers","colour":"red"}]})");
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(*read, (PoolBrief{.pool_namespace = "a",
                              .pool = "b",
                              .lanes = {{.name = "c", .stream = "S", .consumer = "workers"}}}));
}

TEST(PoolBriefJson, NamesTheFieldThatIsMissingOrImpossible) {
  const std::vector<std::pair<const char*, json>> rows = {
      {"/namespace", nullptr},
      {"/namespace", ""},
      {"/pool", 3},
      {"/routing", "Random"},
      {"/paused", "yes"},
      {"/lanes", json::array()},
      {"/lanes", "short"},
      {"/lanes/0", 7},
      {"/lanes/0/name", nullptr},
      {"/lanes/0/name", "Short"},
      {"/lanes/1/name", "short"},
      {"/lanes/0/class", "Huge"},
      {"/lanes/0/class", 1},
      {"/lanes/0/stream", nullptr},
      {"/lanes/0/stream", ""},
      {"/lanes/0/consumer", nullptr},
      {"/lanes/0/external", 1},
      {"/lanes/0/max_depth", 0},
      {"/lanes/0/max_depth", 1.5},
      {"/lanes/0/max_depth", 18'446'744'073'709'551'615ULL},
      {"/lanes/0/tracking", "Some"},
      {"/lanes/0/timeout_ms", 0},
      {"/lanes/0/admission", "none"},
      {"/lanes/0/admission/max_wait_ms", 0},
      {"/lanes/0/admission/max_per_caller", -1},
      {"/routes", "none"},
      {"/routes/0", "x"},
      {"/routes/0/type", ""},
      {"/routes/1/type", "thumbnail"},
      {"/routes/1/lane", "nowhere"},
  };
  for (const auto& [field, value] : rows) {
    json object = json::parse(WritePoolBrief(FullBrief()));
    const json::json_pointer pointer(field);
    if (value.is_null()) {
      object[pointer.parent_pointer()].erase(pointer.back());
    } else {
      object[pointer] = value;
    }
    const auto read = ReadPoolBrief(object.dump());
    ASSERT_FALSE(read.has_value()) << field << " " << value;
    EXPECT_EQ(read.error().kind, ErrorKind::kInvalid);
    const std::string name = value == json(7)     ? "lanes[0]"
                             : value == json("x") ? "routes[0]"
                                                  : pointer.back();
    EXPECT_NE(read.error().message.find(name), std::string::npos)
        << field << ": " << read.error().message;
  }
}

TEST(PoolBriefJson, RefusesWhatIsNoBrief) {
  const std::string long_text = R"({"namespace":")" + std::string(300'000, 'a') + R"("})";
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[]"), std::string("\xff"), long_text}) {
    EXPECT_FALSE(ReadPoolBrief(text).has_value());
    EXPECT_FALSE(ReadLanePause(text).has_value());
  }
}

TEST(PoolBriefJson, TheLargestPoolCanBeRead) {
  PoolBrief brief = FullBrief();
  brief.lanes.clear();
  brief.routes.clear();
  for (int n = 0; n < 16; ++n) {
    brief.lanes.push_back({.name = std::string(60, 'a') + std::to_string(n),
                           .stream = std::string(255, 's'),
                           .consumer = std::string(255, 'c')});
  }
  for (int n = 0; n < 128; ++n) {
    std::string type = std::to_string(n);
    type.resize(128, 't');
    brief.routes.push_back({type, brief.lanes.back().name});
  }
  const auto read = ReadPoolBrief(WritePoolBrief(brief));
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(*read, brief);
}

TEST(LanePauseJson, ReadsBackEverythingItWrote) {
  const LanePause pause{.until = WallTime(std::chrono::nanoseconds(1'764'100'000'123'456'789)),
                        .reason = "renderer \"upgrade\" \xe2\x82\xac",
                        .by = "system:serviceaccount:studio:web"};
  const auto read = ReadLanePause(WriteLanePause(pause));
  ASSERT_TRUE(read.has_value()) << read.error().message;
  EXPECT_EQ(*read, pause);
}

TEST(LanePauseJson, NamesTheFieldThatIsWrong) {
  EXPECT_TRUE(ReadLanePause(R"({"until":"2026-11-26T03:00:00Z"})").has_value());
  for (const auto& [text, field] : std::vector<std::pair<std::string, std::string>>{
           {R"({"reason":"x"})", "until"},
           {R"({"until":"soon"})", "until"},
           {R"({"until":"2026-11-26T03:00:00Z","reason":1})", "reason"},
           {R"({"until":"2026-11-26T03:00:00Z","by":")" + std::string(300, 'a') + "\"}", "by"}}) {
    const auto read = ReadLanePause(text);
    ASSERT_FALSE(read.has_value()) << text;
    EXPECT_NE(read.error().message.find(field), std::string::npos) << read.error().message;
  }
}

TEST(Routing, NamesAndValuesAgree) {
  for (const Routing routing : {Routing::kRoutes, Routing::kLearned}) {
    EXPECT_EQ(RoutingFromName(NameOf(routing)), routing);
  }
  EXPECT_EQ(RoutingFromName("routes"), std::nullopt);
}

}  // namespace
}  // namespace lanekeeper::nats
