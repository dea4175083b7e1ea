#include "operator/kubernetes/event_book.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "operator/kubernetes/json_access.h"

namespace lanekeeper::kubernetes {
namespace {

using nlohmann::json;

// At most `bytes_max` bytes, never half a UTF-8 character.
std::string Truncated(const std::string& text, std::size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  std::size_t end = bytes_max;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end);
}

}  // namespace

EventBook::Key EventBook::KeyOf(const EventSubject& subject, const PoolEvent& event) {
  return {subject, event.warning, event.reason, Truncated(event.message, kMessageBytesMax)};
}

std::optional<Request> EventBook::Plan(const EventSubject& subject, const PoolEvent& event,
                                       Times times) {
  const Key key = KeyOf(subject, event);
  MakeRoom(times.now);
  Entry& entry = entries_[key];
  if (entry.count > 0 && times.now - entry.last > kSameEventWindow) entry = Entry();
  if (entry.count++ == 0) entry.first = times.wall;
  entry.last = times.now;
  if (!TakeShare(subject, times.now)) return std::nullopt;

  const std::string last = FormatRfc3339(times.wall);
  if (!entry.name.empty()) {
    return MergePatchRequest(kEvents, {subject.pool.pool_namespace, entry.name},
                             DumpJson({{"count", entry.count}, {"lastTimestamp", last}}));
  }
  entry.name = NewName(subject, times.wall);
  const json involved = {{"apiVersion", kWorkerPools.api_version},
                         {"kind", kWorkerPools.kind},
                         {"namespace", subject.pool.pool_namespace},
                         {"name", subject.pool.name},
                         {"uid", subject.uid}};
  return CreateRequest(
      kEvents, subject.pool.pool_namespace,
      DumpJson({{"apiVersion", kEvents.api_version},
                {"kind", kEvents.kind},
                {"metadata", {{"namespace", subject.pool.pool_namespace}, {"name", entry.name}}},
                {"involvedObject", involved},
                {"type", key.warning ? "Warning" : "Normal"},
                {"reason", key.reason},
                {"message", key.message},
                {"source", {{"component", kFieldManager}}},
                {"reportingComponent", kFieldManager},
                {"firstTimestamp", FormatRfc3339(entry.first)},
                {"lastTimestamp", last},
                {"count", entry.count}}));
}

void EventBook::Forget(const EventSubject& subject, const PoolEvent& event) {
  const auto entry = entries_.find(KeyOf(subject, event));
  if (entry == entries_.end()) return;
  entry->second.name.clear();
  --entry->second.count;  // The one that is told again.
}

bool EventBook::TakeShare(const EventSubject& subject, MonotonicTime now) {
  const auto [found, is_new] = shares_.try_emplace(subject);
  Share& share = found->second;
  if (!is_new) {
    const std::chrono::duration<double> since = now - share.at;
    share.requests =
        std::min<double>(kBurst, share.requests + since / std::chrono::duration<double>(kRefill));
  }
  share.at = now;
  if (share.requests < 1) return false;
  share.requests -= 1;
  return true;
}

// Linear in kEventsMax, and only when it is reached.
void EventBook::MakeRoom(MonotonicTime now) {
  if (entries_.size() >= kEventsMax) {
    entries_.erase(std::min_element(
        entries_.begin(), entries_.end(),
        [](const auto& a, const auto& b) { return a.second.last < b.second.last; }));
  }
  if (shares_.size() < kEventsMax) return;
  // A share that is full again is as good as a new one.
  std::erase_if(shares_,
                [&](const auto& entry) { return now - entry.second.at >= kBurst * kRefill; });
}

std::string EventBook::NewName(const EventSubject& subject, WallTime wall) {
  const std::int64_t ns =
      std::chrono::duration_cast<std::chrono::nanoseconds>(wall.time_since_epoch()).count();
  last_name_ns_ = std::max(ns, last_name_ns_ + 1);
  char suffix[20];
  std::snprintf(suffix, sizeof suffix, ".%016llx", static_cast<unsigned long long>(last_name_ns_));
  return subject.pool.name + suffix;
}

}  // namespace lanekeeper::kubernetes
