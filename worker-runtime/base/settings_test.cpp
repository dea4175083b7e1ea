#include "worker-runtime/base/settings.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <string>

namespace lanekeeper {
namespace {

using std::chrono::hours;
using std::chrono::seconds;

Settings Of(std::map<std::string, std::string> values) {
  return Settings([values](const std::string& name) {
    const auto found = values.find(name);
    return found == values.end() ? std::nullopt : std::optional(found->second);
  });
}

TEST(SettingsTest, ReadsEachKind) {
  Settings settings = Of({{"T", "text"}, {"I", "-7"}, {"D", "1m"}, {"F", "yes"}, {"G", "0"}});
  EXPECT_EQ(settings.Text("T", "x"), "text");
  EXPECT_EQ(settings.RequiredText("T"), "text");
  EXPECT_EQ(settings.Integer("I", 1, -10, 10), -7);
  EXPECT_EQ(settings.Duration("D", seconds(1), seconds(1), hours(1)), seconds(60));
  EXPECT_TRUE(settings.Flag("F", false));
  EXPECT_FALSE(settings.Flag("G", true));
  EXPECT_TRUE(settings.Check());
}

TEST(SettingsTest, UnsetMeansTheDefaultWhateverItsBounds) {
  Settings settings = Of({});
  EXPECT_EQ(settings.Text("T", "x"), "x");
  EXPECT_EQ(settings.Integer("I", 0, 1, 10), 0);
  EXPECT_EQ(settings.Duration("D", seconds(0), seconds(1), hours(1)), seconds(0));
  EXPECT_TRUE(settings.Flag("F", true));
  EXPECT_TRUE(settings.Check());
}

TEST(SettingsTest, CollectsEveryProblem) {
  Settings settings =
      Of({{"A", "x"}, {"B", "11"}, {"C", "5"}, {"D", "2h"}, {"E", "on"}, {"F", ""}});
  EXPECT_EQ(settings.Integer("A", 3, 1, 10), 3);
  EXPECT_EQ(settings.Integer("B", 3, 1, 10), 3);
  EXPECT_EQ(settings.Duration("C", seconds(3), seconds(1), hours(1)), seconds(3));
  EXPECT_EQ(settings.Duration("D", seconds(3), seconds(1), hours(1)), seconds(3));
  EXPECT_TRUE(settings.Flag("E", true));
  EXPECT_EQ(settings.RequiredText("F"), "");
  EXPECT_EQ(settings.RequiredText("G"), "");
  const Result<void> checked = settings.Check();
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error(),
            (Error{ErrorKind::kInvalid,
                   "A is \"x\"; it must be a whole number from 1 to 10; "
                   "B is \"11\"; it must be a whole number from 1 to 10; "
                   "C is \"5\"; it must be a duration from 1s to 1h; "
                   "D is \"2h\"; it must be a duration from 1s to 1h; "
                   "E is \"on\"; it must be true or false; F is not set; G is not set"}));
}

TEST(SettingsTest, RefusesNumbersWithSomethingBehindThem) {
  for (const char* bad : {"", " 5", "5 ", "5x", "0x5", "5.0", "99999999999999999999"}) {
    Settings settings = Of({{"I", bad}});
    settings.Integer("I", 1, 0, 10);
    EXPECT_FALSE(settings.Check()) << bad;
  }
}

TEST(SettingsTest, ReadsTheEnvironmentOfTheProcess) {
  setenv("LANEKEEPER_SETTINGS_TEST", "here", 1);
  EXPECT_EQ(Settings().Text("LANEKEEPER_SETTINGS_TEST", ""), "here");
  unsetenv("LANEKEEPER_SETTINGS_TEST");
  EXPECT_EQ(Settings().Text("LANEKEEPER_SETTINGS_TEST", "gone"), "gone");
}

}  // namespace
}  // namespace lanekeeper
