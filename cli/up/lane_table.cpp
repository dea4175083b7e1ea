#include "cli/up/lane_table.h"

#include <algorithm>
#include <array>
#include <cstdio>

#include "cli/command/output.h"
#include "operator/scaling/decide_workers.h"

namespace lanekeeper::up {
namespace {

constexpr std::size_t kFields = 9;
using Fields = std::array<std::string, kFields>;

const Fields kHeadings{"LANE", "WAITING", "RUNNING", "PARKED",       "WORKERS",
                       "DEAD", "WAIT",    "OLDEST",  "LAST DECISION"};

// Only the name and the decision begin at the left.
bool IsNumber(std::size_t field) { return field > 0 && field + 1 < kFields; }

std::string WorkersText(const LaneStatus& status) {
  return std::to_string(status.workers_ready) + "/" + std::to_string(status.workers_desired);
}

// "-": not known.
std::string WaitText(std::int64_t seconds) { return seconds < 0 ? "-" : cli::SecondsText(seconds); }

// How long the job that waits longest has waited.
std::string OldestText(const LaneStatus& status) {
  return status.waiting > 0 ? WaitText(status.oldest_wait_seconds) : "-";
}

std::string DecisionText(const LaneRow& row) {
  if (!row.doubt.empty()) return "(" + row.doubt + ") " + row.status.decision_message;
  if (!row.status.release.empty()) return row.status.release;
  // The last decision is one in a doubt that is over, e.g. before the queue was made.
  if (row.status.decision_reason == scaling::ToString(scaling::ScalingReason::kHeldByDoubt)) {
    return "The queue answers.";
  }
  return row.status.decision_message;
}

Fields FieldsOf(const LaneRow& row) {
  const LaneStatus& status = row.status;
  return {ToString(row.key),
          std::to_string(status.waiting),
          std::to_string(status.running),
          std::to_string(status.parked),
          WorkersText(status),
          std::to_string(status.dead_letters),
          WaitText(status.predicted_wait_seconds),
          OldestText(status),
          DecisionText(row)};
}

// Cut to `columns` bytes, never within a UTF-8 character.
std::string Cut(std::string text, int columns) {
  auto size = static_cast<std::size_t>(std::max(columns, 0));
  if (text.size() <= size) return text;
  while (size > 0 && (static_cast<unsigned char>(text[size]) & 0xC0) == 0x80) --size;
  text.resize(size);
  return text;
}

std::string Joined(const Fields& fields, const std::array<std::size_t, kFields>& widths) {
  std::string line;
  for (std::size_t field = 0; field < kFields; ++field) {
    const std::string pad(widths[field] - std::min(widths[field], fields[field].size()), ' ');
    if (field > 0) line += "  ";
    line += IsNumber(field) ? pad + fields[field] : fields[field] + pad;
  }
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

}  // namespace

std::vector<std::string> LaneTable(const std::vector<LaneRow>& rows, int columns, int lines) {
  if (lines <= 0) return {};
  if (rows.empty()) return {Cut("No lane yet.", columns)};
  std::vector<Fields> shown{kHeadings};
  const auto room = static_cast<std::size_t>(std::max(lines - 1, 0));
  const bool all = rows.size() <= room;
  const std::size_t count = all ? rows.size() : room - std::min<std::size_t>(room, 1);
  for (std::size_t row = 0; row < count; ++row) shown.push_back(FieldsOf(rows[row]));
  std::array<std::size_t, kFields> widths{};
  for (const Fields& fields : shown) {
    for (std::size_t field = 0; field + 1 < kFields; ++field) {
      widths[field] = std::max(widths[field], fields[field].size());
    }
  }
  std::vector<std::string> table;
  for (const Fields& fields : shown) table.push_back(Cut(Joined(fields, widths), columns));
  if (!all && table.size() < static_cast<std::size_t>(lines)) {
    table.push_back(Cut("and " + std::to_string(rows.size() - count) + " more lanes", columns));
  }
  return table;
}

std::string LaneLine(const LaneRow& row) {
  const LaneStatus& status = row.status;
  std::string line = ToString(row.key) + "  waiting " + std::to_string(status.waiting) +
                     "  running " + std::to_string(status.running) + "  parked " +
                     std::to_string(status.parked) + "  workers " + WorkersText(status) +
                     "  dead " + std::to_string(status.dead_letters) + "  wait " +
                     WaitText(status.predicted_wait_seconds);
  const std::string decision = DecisionText(row);
  if (!decision.empty()) line += "  " + decision;
  return line;
}

}  // namespace lanekeeper::up
