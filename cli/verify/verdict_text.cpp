#include "cli/verify/verdict_text.h"

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>

namespace lanekeeper::verify {
namespace {

constexpr std::size_t kNameWidth = 20;
constexpr std::size_t kNumberWidth = 9;

std::string Padded(const std::string& text, std::size_t width) {
  return text.size() < width ? std::string(width - text.size(), ' ') : std::string();
}

std::string Line(const std::string& name, std::size_t number, const std::string& note = "") {
  const std::string digits = std::to_string(number);
  return name + Padded(name, kNameWidth) + Padded(digits, kNumberWidth) + digits +
         (note.empty() ? "" : "   " + note) + "\n";
}

std::string Ids(const std::vector<Finding>& findings, std::size_t ids_max) {
  std::string text;
  for (std::size_t n = 0; n < std::min(findings.size(), ids_max); ++n) {
    const Finding& finding = findings[n];
    text += "    " + finding.id + (finding.why.empty() ? "" : "   " + finding.why) + "\n";
  }
  if (findings.size() > ids_max) {
    text += "    … and " + std::to_string(findings.size() - ids_max) + " more\n";
  }
  return text;
}

std::vector<Finding> WithoutWhy(const std::vector<std::string>& ids) {
  std::vector<Finding> findings;
  for (const std::string& id : ids) findings.push_back({id, ""});
  return findings;
}

std::size_t Size(int count) { return static_cast<std::size_t>(count); }

}  // namespace

std::string VerdictTable(const Verdict& verdict, std::size_t ids_max) {
  std::string reasons;
  for (const auto& [reason, count] : verdict.dead_by_reason) {
    reasons += (reasons.empty() ? "" : ", ") + reason + " " + std::to_string(count);
  }
  std::string text = Line("accepted", Size(verdict.accepted));
  text += Line("  done", Size(verdict.done));
  text += Line("  dead letters", Size(verdict.dead), reasons);
  text += Line("  moved", Size(verdict.moved));
  text += Line("  cancelled", Size(verdict.cancelled));
  text += Line("  still queued", verdict.queued.size());
  text += Ids(WithoutWhy(verdict.queued), ids_max);
  text += Line("  lost", verdict.lost.size());
  text += Ids(verdict.lost, ids_max);
  text += Line("ran more than once", verdict.explained.size() + verdict.unexplained.size(),
               std::to_string(verdict.unexplained.size()) + " of them unexplained");
  text += Ids(verdict.unexplained, ids_max);
  text += Ids(verdict.explained, ids_max);
  text += Line("stale results", verdict.stale.size());
  text += Ids(verdict.stale, ids_max);
  text += Line("contradictory", verdict.contradictory.size());
  text += Ids(verdict.contradictory, ids_max);
  text += Line("never accepted", Size(verdict.unaccepted));
  return text;
}

std::string VerdictJson(const Verdict& verdict, std::size_t ids_max) {
  nlohmann::ordered_json object;
  object["accepted"] = verdict.accepted;
  object["done"] = verdict.done;
  object["dead"] = verdict.dead;
  object["moved"] = verdict.moved;
  object["cancelled"] = verdict.cancelled;
  object["queued"] = verdict.queued.size();
  object["lost"] = verdict.lost.size();
  object["duplicates"] = verdict.explained.size() + verdict.unexplained.size();
  object["unexplained"] = verdict.unexplained.size();
  object["stale"] = verdict.stale.size();
  object["contradictory"] = verdict.contradictory.size();
  object["unaccepted"] = verdict.unaccepted;
  object["dead_by_reason"] = nlohmann::ordered_json::object();
  for (const auto& [reason, count] : verdict.dead_by_reason) {
    object["dead_by_reason"][reason] = count;
  }
  object["lost_ids"] = nlohmann::ordered_json::array();
  for (std::size_t n = 0; n < std::min(verdict.lost.size(), ids_max); ++n) {
    object["lost_ids"].push_back(verdict.lost[n].id);
  }
  object["holds"] = Holds(verdict);
  return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace lanekeeper::verify
