#include "cli/verify/verify.h"

#include <algorithm>
#include <set>
#include <utility>

namespace lanekeeper::verify {
namespace {

// Everything there is about one job.
struct Trail {
  bool accepted = false;
  bool queued = false;
  std::vector<std::string> letters;                     // Their reasons.
  std::set<std::pair<std::string, std::string>> ended;  // Worker and start of each run.
  int last_run = 0;                                     // The highest number of a run that ended.
  const JobRecord* record = nullptr;
  const Author* author = nullptr;
};

std::map<std::string, Trail> TrailsOf(const Evidence& evidence) {
  std::map<std::string, Trail> trails;
  for (const std::string& id : evidence.accepted) trails[id].accepted = true;
  for (const std::string& id : evidence.queued) trails[id].queued = true;
  for (const Letter& letter : evidence.dead) trails[letter.id].letters.push_back(letter.reason);
  for (const EndedRun& run : evidence.runs) {
    Trail& trail = trails[run.id];
    trail.ended.emplace(run.worker, run.started);
    trail.last_run = std::max(trail.last_run, run.run);
  }
  for (const auto& [id, record] : evidence.records) trails[id].record = &record;
  for (const auto& [id, author] : evidence.authors) trails[id].author = &author;
  return trails;
}

std::string Count(std::size_t count, std::string_view what) {
  return std::to_string(count) + " " + std::string(what) + (count == 1 ? "" : "s");
}

bool Is(const Trail& trail, JobState state) {
  return trail.record != nullptr && trail.record->state == state;
}

// Where an accepted job that is no longer queued has gone.
enum class Fate { kDone, kDead, kMoved, kCancelled, kLost };

// The record has the last word where it is finished: a dead letter may be of an earlier life, and a
// run may have ended without counting.
Fate FateOf(const Trail& trail, bool has_runs) {
  if (Is(trail, JobState::kMoved)) return Fate::kMoved;
  if (Is(trail, JobState::kCancelled)) return Fate::kCancelled;
  if (Is(trail, JobState::kDead)) return trail.letters.empty() ? Fate::kLost : Fate::kDead;
  if (Is(trail, JobState::kDone)) {
    return has_runs && trail.ended.empty() ? Fate::kLost : Fate::kDone;
  }
  if (!trail.letters.empty()) return Fate::kDead;
  return trail.ended.empty() ? Fate::kLost : Fate::kDone;
}

std::string WhyLost(const Trail& trail) {
  if (trail.record == nullptr) return "not queued, no dead letter, no result, no record";
  if (Is(trail, JobState::kDead)) return "its record says dead, but there is no dead letter";
  if (Is(trail, JobState::kDone)) return "its record says done, but there is no result";
  return "not queued, no dead letter, no result; its record says " +
         std::string(NameOf(trail.record->state)) + " at " + trail.record->worker + ", " +
         Count(static_cast<std::size_t>(trail.record->runs), "start");
}

// A run that ended before the last one needs a reason: a death before it was settled, a failure, an
// interruption, or another message with the same id.
void JudgeDuplicate(const std::string& id, const Trail& trail, Verdict& verdict) {
  const std::size_t ended = trail.ended.size();
  const std::string what = "ended " + Count(ended, "time") + ": ";
  if (trail.record == nullptr) {
    verdict.unexplained.push_back({id, what + "no record"});
    return;
  }
  const JobRecord& record = *trail.record;
  const auto reasons = static_cast<std::size_t>(record.crashes) +
                       static_cast<std::size_t>(record.interruptions) +
                       static_cast<std::size_t>(record.attempts) + record.history.size();
  const std::string why = what + Count(static_cast<std::size_t>(record.runs), "start") + ", " +
                          std::to_string(record.crashes) + " crashed, " +
                          std::to_string(record.interruptions) + " interrupted, " +
                          std::to_string(record.attempts) + " failed, " +
                          std::to_string(record.history.size()) + " earlier lives";
  (reasons + 1 >= ended ? verdict.explained : verdict.unexplained).push_back({id, why});
}

void JudgeResult(const std::string& id, const Trail& trail, Verdict& verdict) {
  if (!Is(trail, JobState::kDone)) return;
  const JobRecord& record = *trail.record;
  if (trail.author != nullptr &&
      (trail.author->run != record.runs || trail.author->worker != record.worker)) {
    verdict.stale.push_back({id, "the result is of run " + std::to_string(trail.author->run) +
                                     " at " + trail.author->worker +
                                     ", the job was last given to run " +
                                     std::to_string(record.runs) + " at " + record.worker});
  } else if (record.history.empty() && trail.last_run > record.runs) {
    // Runs count anew in every life, so this needs a job that has had only one.
    verdict.stale.push_back({id, "run " + std::to_string(trail.last_run) +
                                     " has ended, but the record is of run " +
                                     std::to_string(record.runs) + " at " + record.worker});
  }
}

void JudgeRecord(const std::string& id, const Trail& trail, Verdict& verdict) {
  if (trail.record == nullptr || trail.queued) return;
  const JobRecord& record = *trail.record;
  const bool gone = !trail.letters.empty() || !trail.ended.empty();
  if (!Finished(record) && gone) {
    verdict.contradictory.push_back({id, "gone from the lane, but its record says " +
                                             std::string(NameOf(record.state)) + " at " +
                                             record.worker});
  } else if (record.state == JobState::kDone && !trail.letters.empty() && record.history.empty()) {
    verdict.contradictory.push_back(
        {id, "its record says done, but there is a dead letter: " + trail.letters.front()});
  }
}

}  // namespace

Verdict DecideVerdict(const Evidence& evidence) {
  Verdict verdict;
  for (const auto& [id, trail] : TrailsOf(evidence)) {
    if (!trail.accepted) {
      // Records are kept for longer than anything else, so they alone mean nothing.
      if (trail.queued || !trail.letters.empty() || !trail.ended.empty()) ++verdict.unaccepted;
      continue;
    }
    ++verdict.accepted;
    if (trail.queued) {
      verdict.queued.push_back(id);
    } else {
      switch (FateOf(trail, evidence.has_runs)) {
        case Fate::kDone:
          ++verdict.done;
          break;
        case Fate::kDead:
          ++verdict.dead;
          ++verdict.dead_by_reason[trail.letters.back()];
          break;
        case Fate::kMoved:
          ++verdict.moved;
          break;
        case Fate::kCancelled:
          ++verdict.cancelled;
          break;
        case Fate::kLost:
          verdict.lost.push_back({id, WhyLost(trail)});
          break;
      }
    }
    if (trail.ended.size() > 1) JudgeDuplicate(id, trail, verdict);
    JudgeResult(id, trail, verdict);
    JudgeRecord(id, trail, verdict);
  }
  return verdict;
}

bool Holds(const Verdict& verdict) {
  return verdict.lost.empty() && verdict.stale.empty() && verdict.contradictory.empty();
}

}  // namespace lanekeeper::verify
