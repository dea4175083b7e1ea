// What the reconciler said last of each lane, and what else people have to know, for whoever shows
// it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "cli/up/lane_table.h"
#include "operator/control/reconcile_observer.h"

namespace lanekeeper::up {

// Any thread.
class LaneBoard final : public ReconcileObserver {
 public:
  void OnLane(const LaneKey& key, const LaneStatus& status, scaling::Doubt doubt) override;
  void OnForget(const LaneKey& key) override;
  // A sentence that is shown once. Beyond kNotesMax that nobody has taken, the oldest go.
  void Note(std::string text);

  // By pool and name.
  std::vector<LaneRow> Rows() const;
  std::vector<std::string> TakeNotes();

 private:
  static constexpr std::size_t kNotesMax = 1000;

  mutable std::mutex mutex_;
  std::map<LaneKey, LaneRow> rows_;
  std::deque<std::string> notes_;
};

}  // namespace lanekeeper::up
