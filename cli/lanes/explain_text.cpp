#include "cli/lanes/explain_text.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>
#include <vector>

#include "cli/command/output.h"
#include "cli/lanes/pool_lanes.h"
#include "worker-runtime/job/rfc3339.h"

namespace lanekeeper::lanes {
namespace {

using cli::Printable;
using cli::SecondsText;
using nlohmann::json;

// These are good when they hold; all others when they do not.
constexpr std::array<std::string_view, 2> kGoodConditions{"Ready", "QueueReachable"};

// What a reason of a decision means for somebody who wants another number.
constexpr std::array<std::pair<std::string_view, std::string_view>, 11> kHolds{{
    {"CappedAtMax", "workers.max: the backlog asks for more. Raise it to get more."},
    {"CappedByConsumer", "the consumer's max_ack_pending lets no more run."},
    {"CappedByBudget", "the pool's budget: the other lanes use what is left of it."},
    {"HeldByCapacity", "the platform has no room for the workers that were asked for."},
    {"FlooredAtMin", "workers.min: the backlog asks for less."},
    {"HeldByWindow", "the scale-down window: a little ago more were needed."},
    {"HeldByBusy", "running jobs: workers go as theirs end, and no job is cut."},
    {"HeldByDoubt", "no fresh numbers: without them a lane never goes down."},
    {"RetriesWaiting", "parked jobs: one worker stays to run them when they are due."},
    {"LanePaused", "the pause of the lane: only running jobs count."},
    {"Paused", "spec.paused of the pool: the operator changes nothing."},
}};

std::string Text(const json& object, const char* pointer) {
  const std::string text = cli::TextAt(object, pointer);
  return text == "-" ? "" : text;
}

std::int64_t Number(const json& object, const char* pointer) {
  const json::json_pointer place(pointer);
  return object.contains(place) && object.at(place).is_number_integer()
             ? object.at(place).get<std::int64_t>()
             : 0;
}

std::string Count(std::int64_t count, const char* one, const char* many) {
  return std::to_string(count) + " " + (count == 1 ? one : many);
}

std::string Ago(const std::string& time, WallTime now) {
  const auto then = ParseRfc3339(time);
  if (!then) return "";
  const auto age = std::chrono::duration_cast<std::chrono::seconds>(now - *then).count();
  return SecondsText(age) + " ago";
}

std::string Padded(std::string text, std::size_t width, bool right = false) {
  if (text.size() >= width) return text;
  return right ? std::string(width - text.size(), ' ') + text
               : text.append(width - text.size(), ' ');
}

void AddNow(std::string& out, const json& lane) {
  out += "Jobs:     " + std::to_string(Number(lane, "/waiting")) + " waiting, " +
         std::to_string(Number(lane, "/running")) + " running, " +
         std::to_string(Number(lane, "/parked")) + " parked, " +
         Count(Number(lane, "/deadLetters"), "dead letter", "dead letters") + "\n";
  if (Number(lane, "/oldestWaitSeconds") > 0) {
    out += "Oldest:   has waited " + SecondsText(Number(lane, "/oldestWaitSeconds")) + "\n";
  }
  if (lane.contains("predictedWaitSeconds")) {
    out += "Wait:     a job that comes now starts in about " +
           SecondsText(Number(lane, "/predictedWaitSeconds")) + "\n";
  }
  out += "Workers:  " + std::to_string(Number(lane, "/workers/desired")) + " wanted, " +
         std::to_string(Number(lane, "/workers/ready")) +
         " ready: " + std::to_string(Number(lane, "/workers/busy")) + " busy, " +
         std::to_string(Number(lane, "/workers/idle")) + " idle, " +
         std::to_string(Number(lane, "/workers/draining")) + " draining";
  if (const auto none = Number(lane, "/workers/unschedulable"); none > 0) {
    out += ", " + std::to_string(none) + " without room";
  }
  out += "\n";
}

// A term a line, the number after it on the left: read downwards, it is how the number came about.
void AddTerms(std::string& out, const json& terms, const char* note) {
  std::size_t width = 0;
  std::size_t digits = 1;
  for (const json& term : terms) {
    width = std::max(width, Text(term, "/term").size());
    digits = std::max(digits, Text(term, "/workers").size());
  }
  for (const json& term : terms) {
    out += "  " + Padded(Text(term, "/workers"), digits, /*right=*/true) + "  " +
           Padded(Printable(Text(term, "/term")), width) + "  " + Printable(Text(term, note)) +
           "\n";
  }
}

void AddWhy(std::string& out, const json& lane, WallTime now) {
  const json decision = lane.value("decision", json::object());
  if (decision.empty()) {
    out += "\nNothing was decided yet.\n";
    return;
  }
  const std::string ago = Ago(Text(decision, "/time"), now);
  out += "\nWhy " + Count(Number(decision, "/workers"), "worker", "workers") + " (" +
         Printable(Text(decision, "/reason")) + (ago.empty() ? "" : ", " + ago) + "):\n  " +
         Printable(Text(decision, "/message")) + "\n";
  const json terms = decision.value("terms", json::array());
  if (terms.empty()) return;
  out += "\nRule by rule, with the number of workers after each:\n";
  AddTerms(out, terms, "/note");
}

void AddHolds(std::string& out, const json& pool, const json& lane) {
  std::vector<std::string> holds;
  if (pool.value("paused", false)) holds.emplace_back(kHolds.back().second);
  if (const auto pause = lane.find("pause"); pause != lane.end()) {
    std::string text = "paused until " + Text(*pause, "/until");
    if (const std::string why = Text(*pause, "/reason"); !why.empty()) text += ": " + why;
    if (const std::string by = Text(*pause, "/by"); !by.empty()) text += " (by " + by + ")";
    holds.push_back(text + ".");
  }
  if (const std::string release = Text(lane, "/release"); !release.empty()) {
    holds.push_back("workers are released: " + release + ".");
  }
  const std::string reason = Text(lane, "/decision/reason");
  for (const auto& [word, text] : kHolds) {
    const bool said = word == "Paused" || (word == "LanePaused" && lane.contains("pause"));
    if (reason == word && !said) holds.emplace_back(text);
  }
  if (holds.empty()) return;
  out += "\nWhat holds it:\n";
  for (const std::string& hold : holds) out += "  " + Printable(hold) + "\n";
}

json BadConditions(const json& pool) {
  json bad = json::array();
  for (const json& one : pool.value(json::json_pointer("/status/conditions"), json::array())) {
    const bool good_when_true =
        std::ranges::find(kGoodConditions, Text(one, "/type")) != kGoodConditions.end();
    if ((Text(one, "/status") == "True") != good_when_true) bad.push_back(one);
  }
  return bad;
}

void AddConditions(std::string& out, const json& pool) {
  const json bad = BadConditions(pool);
  if (bad.empty()) return;
  out += "\nNot good in this pool:\n";
  for (const json& one : bad) {
    out += "  " + Printable(Text(one, "/type")) + " (" + Printable(Text(one, "/reason")) +
           "): " + Printable(Text(one, "/message")) + "\n";
  }
}

void AddDecisions(std::string& out, const json& decisions, WallTime now) {
  if (decisions.empty()) return;
  out += "\nThe last " +
         Count(static_cast<std::int64_t>(decisions.size()), "decision", "decisions") +
         ", the newest first:\n";
  for (const json& decision : decisions) {
    std::string time = Printable(Text(decision, "/time"));
    if (const std::string ago = Ago(Text(decision, "/time"), now); !ago.empty()) {
      time += "  " + Padded(ago, 8);
    }
    out += "  " + time + "  " + Printable(Text(decision, "/sentence")) + "\n";
  }
}

json LaneOf(const json& pool, const std::string& lane) {
  for (const json& one : LanesOf(pool)) {
    if (one.value("lane", "") == lane) return one;
  }
  return json::object();
}

}  // namespace

std::string ExplainText(const json& pool, const std::string& lane_name, const json& decisions,
                        WallTime now) {
  const json lane = LaneOf(pool, lane_name);
  std::string out =
      "Lane " +
      Printable(pool.value("namespace", "") + "/" + pool.value("pool", "") + "/" + lane_name) +
      "\n\n";
  if (!lane.contains("workers")) {
    out +=
        "The operator has said nothing of this lane yet: it has just been made, or no operator "
        "is running.\n";
  } else {
    AddNow(out, lane);
    AddWhy(out, lane, now);
  }
  AddHolds(out, pool, lane);
  AddConditions(out, pool);
  AddDecisions(out, decisions, now);
  return out;
}

json ExplainJson(const json& pool, const std::string& lane, const json& decisions) {
  return {
      {"lane", LaneOf(pool, lane)}, {"conditions", BadConditions(pool)}, {"decisions", decisions}};
}

}  // namespace lanekeeper::lanes
