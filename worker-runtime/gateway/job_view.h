// A job as a client sees it, from its record and its message. Shapes and JSON; pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "worker-runtime/job/job_record.h"
#include "worker-runtime/job/names.h"

namespace lanekeeper::gateway {

// Where a job was put. Ids that the gateway gave, and those of messages without an id, say it:
// "<stream>.<sequence>" and "<stream>.<sequence>.<tail>".
struct JobPlace {
  std::string stream;
  std::uint64_t sequence = 0;
  bool operator==(const JobPlace&) const = default;
};
std::optional<JobPlace> PlaceOfJobId(std::string_view id);
// "LK_studio_media_short" → {studio, media, short}; nothing for a stream with another name.
std::optional<LaneKey> LaneOfStream(std::string_view stream);

enum class ViewState { kWaiting, kRunning, kParked, kDone, kDead, kMoved, kCancelled };
// "waiting", "running", "parked", "done", "dead", "moved", "cancelled"
std::string_view NameOf(ViewState state);
std::optional<ViewState> ViewStateFromName(std::string_view name);
bool Ended(ViewState state);  // done, dead, cancelled.

struct JobView {
  std::string id;
  LaneKey lane;  // Where it is now: a moved job is seen where it went.
  std::string type;
  ViewState state = ViewState::kWaiting;
  std::uint64_t sequence = 0;       // Of its message; 0 = not known.
  WallTime submitted_at{};          // When the queue stored it; the epoch: not known.
  std::uint64_t revision = 0;       // Of its record: the id of its last change; 0 = no record yet.
  std::optional<JobRecord> record;  // Without its checkpoint.
  std::optional<std::int64_t> position;     // With kWaiting: jobs before it, about.
  std::optional<std::chrono::seconds> eta;  // With kWaiting: until it starts, about.
  // Its message is gone and no record says how it ended: `state` is what was known last.
  bool gone = false;
  bool operator==(const JobView&) const = default;
};

// The job will not change any more: it has ended, or it is gone.
inline bool Over(const JobView& view) { return view.gone || Ended(view.state); }

// The job of a record as `lane` has it, without its checkpoint. `revision` is the record's, and no
// record has 0.
JobView ViewOfRecord(const LaneKey& lane, JobRecord record, std::uint64_t revision);

// {"id","namespace","pool","lane","type","state","submitted_at","position","eta_seconds",
//  "attempts","crashes","interruptions","runs":[{"started_at","ended_at","outcome","worker",
//  "error"}],"progress":{"fraction","note"},"result"|"result_base64","error":{"class","message"},
//  "dead":{"reason"},"history":[{"state","reason","attempts","crashes","ended_at"}],"moved_to",
//  "gone","revision","links":{"self","events"}}. What is empty or not known is left out; attempts,
// crashes and interruptions are there with a record. `runs` are the last ones, the oldest first; of
// one that goes on, ended_at and outcome are missing. `links` are of the pool, so that they serve
// ids that do not say where the job is, too. Payload and checkpoint are never shown. A result that
// is JSON text stands as JSON, other text as a string.
std::string WriteJobView(const JobView& view);

}  // namespace lanekeeper::gateway
