#include "operator/kubernetes/watch_state.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "operator/kubernetes/object_json.h"

namespace lanekeeper::kubernetes {
namespace {

using nlohmann::json;

constexpr int kGone = 410;

}  // namespace

WatchState::WatchState(WatchTarget target, WatchCallbacks callbacks)
    : target_(std::move(target)), callbacks_(std::move(callbacks)) {}

WatchState::Step WatchState::NextStep() {
  Step step{.delay = std::exchange(delay_, std::chrono::milliseconds(0)), .is_watch = !listing_};
  if (listing_) {
    step.request = ListRequest(target_.resource, {.only_namespace = target_.only_namespace,
                                                  .label_selector = target_.label_selector,
                                                  .limit = target_.page_objects,
                                                  .continue_token = continue_token_});
    return step;
  }
  line_seen_ = false;
  stream_failed_ = false;
  step.request = WatchRequest(target_.resource, {.only_namespace = target_.only_namespace,
                                                 .label_selector = target_.label_selector,
                                                 .resource_version = resource_version_,
                                                 .timeout = target_.timeout});
  return step;
}

void WatchState::OnListAnswer(const Result<Answer>& answer) {
  Result<Answer> accepted = answer ? Accepted(*answer) : answer;
  if (!accepted) {
    // A page that is too old cannot be continued: start over.
    if (answer && answer->status == kGone) ListAgain();
    return Failed(std::move(accepted).error(), answer ? answer->retry_after : std::nullopt);
  }
  const json page = ParseJson(accepted->body);
  if (!page.is_object() || ResourceVersionOf(page).empty()) {
    return Failed({ErrorKind::kRetryable, "unreadable answer to a list"});
  }
  OnPage(page);
}

void WatchState::OnPage(const json& page) {
  for (const json& object : ListAt(page, {"items"})) {
    listed_.insert(NameOf(object));
    Report(object);
  }
  continue_token_ = TextAt(page, {"metadata", "continue"});
  if (continue_token_.empty()) FinishList(ResourceVersionOf(page));
}

void WatchState::FinishList(const std::string& resource_version) {
  for (auto known = known_.begin(); known != known_.end();) {
    if (listed_.count(known->first) != 0) {
      ++known;
      continue;
    }
    const ObjectName name = known->first;
    known = known_.erase(known);
    callbacks_.on_gone(name, resource_version);
  }
  if (callbacks_.on_listed) callbacks_.on_listed(listed_, resource_version);
  listed_.clear();
  listing_ = false;
  resource_version_ = resource_version;
  if (!std::exchange(synced_, true)) callbacks_.on_synced();
}

bool WatchState::OnLine(std::string_view line) {
  const json event = ParseJson(line);
  const std::string type = TextAt(event, {"type"});
  const json* object = At(event, {"object"});
  if (object == nullptr || type.empty()) {
    stream_failed_ = true;
    Failed({ErrorKind::kRetryable, "unreadable line in a watch"});
    return false;
  }
  if (type == "ERROR") return OnErrorEvent(*object);

  const std::string resource_version = ResourceVersionOf(*object);
  if (!resource_version.empty()) resource_version_ = resource_version;
  line_seen_ = true;
  failures_ = 0;
  if (type == "ADDED" || type == "MODIFIED") {
    Report(*object);
  } else if (type == "DELETED") {
    const ObjectName name = NameOf(*object);
    if (known_.erase(name) > 0) callbacks_.on_gone(name, resource_version);
  }
  return true;  // BOOKMARK, or a type yet to be invented.
}

bool WatchState::OnErrorEvent(const json& status) {
  stream_failed_ = true;
  const std::int64_t code = IntegerAt(status, {"code"});
  if (code == kGone) ListAgain();
  const std::int64_t retry_after = IntegerAt(status, {"details", "retryAfterSeconds"});
  Failed({ErrorKind::kRetryable,
          "the watch ended with " + std::to_string(code) + " " + TextAt(status, {"message"})},
         retry_after > 0 ? std::optional(std::chrono::seconds(retry_after)) : std::nullopt);
  return false;
}

void WatchState::OnStreamEnd(const Result<Answer>& answer, std::chrono::milliseconds lasted) {
  if (stream_failed_) return;  // OnLine has dealt with it.
  if (answer && answer->status == 200) {
    // One that ran most of its time was a good one, even when nothing came.
    if (line_seen_ || lasted >= target_.timeout / 2) {
      failures_ = 0;
      quiet_watches_ = line_seen_ ? 0 : quiet_watches_ + 1;
      if (quiet_watches_ >= kQuietWatchesMax) ListAgain();
      return;
    }
    return Failed({ErrorKind::kRetryable, "the watch ended at once"});
  }
  if (answer && answer->status == kGone) ListAgain();
  Result<Answer> accepted = answer ? Accepted(*answer) : answer;
  Error error = accepted ? Error{ErrorKind::kRetryable, "unexpected answer to a watch"}
                         : std::move(accepted).error();
  Failed(std::move(error), answer ? answer->retry_after : std::nullopt);
}

void WatchState::Report(const json& object) {
  const std::string resource_version = ResourceVersionOf(object);
  std::string& known = known_[NameOf(object)];
  if (!known.empty() && known == resource_version) return;
  known = resource_version;
  callbacks_.on_object(object);
}

void WatchState::Relist() {
  ListAgain();
  synced_ = false;
  delay_ = std::chrono::milliseconds(0);
}

void WatchState::ListAgain() {
  listing_ = true;
  quiet_watches_ = 0;
  continue_token_.clear();
  listed_.clear();
}

void WatchState::Failed(Error error, std::optional<std::chrono::seconds> retry_after) {
  last_error_ = std::move(error);
  ++failures_;
  delay_ = kBackoff.After(failures_);
  if (retry_after) {
    // A third more, because jitter takes up to a quarter off and this is the earliest moment.
    const std::chrono::milliseconds asked = *retry_after;
    delay_ = std::max(delay_, std::min(asked + asked / 3, kBackoff.max));
  }
  // The resourceVersion itself may be what the server cannot serve, e.g. after it lost its past.
  if (!listing_ && failures_ >= kWatchFailuresMax) ListAgain();
}

}  // namespace lanekeeper::kubernetes
