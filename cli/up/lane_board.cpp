#include "cli/up/lane_board.h"

#include <utility>

#include "operator/scaling/wording.h"

namespace lanekeeper::up {

void LaneBoard::OnLane(const LaneKey& key, const LaneStatus& status, scaling::Doubt doubt) {
  // Without a sample yet there is nothing to doubt.
  const bool doubted = doubt != scaling::Doubt::kNone && doubt != scaling::Doubt::kNoSampleYet;
  const std::lock_guard lock(mutex_);
  rows_[key] = {key, status, doubted ? std::string(scaling::ReasonOf(doubt)) : ""};
}

void LaneBoard::OnForget(const LaneKey& key) {
  const std::lock_guard lock(mutex_);
  rows_.erase(key);
}

void LaneBoard::Note(std::string text) {
  const std::lock_guard lock(mutex_);
  if (notes_.size() == kNotesMax) notes_.pop_front();
  notes_.push_back(std::move(text));
}

std::vector<LaneRow> LaneBoard::Rows() const {
  const std::lock_guard lock(mutex_);
  std::vector<LaneRow> rows;
  for (const auto& [key, row] : rows_) rows.push_back(row);
  return rows;
}

std::vector<std::string> LaneBoard::TakeNotes() {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> taken(notes_.begin(), notes_.end());
  notes_.clear();
  return taken;
}

}  // namespace lanekeeper::up
