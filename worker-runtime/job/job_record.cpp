#include "worker-runtime/job/job_record.h"

#include <array>
#include <utility>

namespace lanekeeper {
namespace {

constexpr std::array<std::pair<Tracking, std::string_view>, 3> kTrackings{
    {{Tracking::kFull, "Full"}, {Tracking::kFailures, "Failures"}, {Tracking::kNone, "None"}}};
constexpr std::array<std::pair<JobState, std::string_view>, 6> kStates{
    {{JobState::kRunning, "running"},
     {JobState::kWaiting, "waiting"},
     {JobState::kDone, "done"},
     {JobState::kDead, "dead"},
     {JobState::kMoved, "moved"},
     {JobState::kCancelled, "cancelled"}}};

template <typename T, std::size_t size>
std::string_view NameIn(const std::array<std::pair<T, std::string_view>, size>& names, T value) {
  for (const auto& [candidate, name] : names) {
    if (candidate == value) return name;
  }
  return {};
}

template <typename T, std::size_t size>
std::optional<T> ValueIn(const std::array<std::pair<T, std::string_view>, size>& names,
                         std::string_view name) {
  for (const auto& [value, candidate] : names) {
    if (candidate == name) return value;
  }
  return std::nullopt;
}

}  // namespace

std::string_view NameOf(Tracking tracking) { return NameIn(kTrackings, tracking); }

std::optional<Tracking> TrackingFromName(std::string_view name) {
  return ValueIn(kTrackings, name);
}

std::string_view NameOf(JobState state) { return NameIn(kStates, state); }

std::optional<JobState> JobStateFromName(std::string_view name) { return ValueIn(kStates, name); }

bool Finished(const JobRecord& record) {
  return record.state != JobState::kRunning && record.state != JobState::kWaiting;
}

}  // namespace lanekeeper
