#include "worker-runtime/nats/dead_letters.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <nlohmann/json.hpp>
#include <utility>

#include "worker-runtime/base/backoff.h"
#include "worker-runtime/base/clock.h"
#include "worker-runtime/job/names.h"
#include "worker-runtime/nats/stream_pages.h"

namespace lanekeeper::nats {
namespace {

using nlohmann::json;
using std::chrono::steady_clock;

constexpr int kPagesPerList = 40;
constexpr std::size_t kListMax = 1000;
// The two parts of a dead letter are published one after the other; others may come between.
constexpr std::uint64_t kPartDistanceMax = 1024;
constexpr Backoff kBackoff{.initial = std::chrono::milliseconds(50),
                           .max = std::chrono::milliseconds(2000)};

// False, and at once, when told to stop.
bool SleepUntil(MonotonicTime until, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any never;
  std::unique_lock lock(mutex);
  never.wait_until(lock, stop, until, [] { return false; });
  return !stop.stop_requested();
}

// Lets one through every 1/per_second.
class Pace {
 public:
  explicit Pace(double per_second)
      : interval_(per_second > 0
                      ? std::chrono::duration_cast<steady_clock::duration>(
                            std::chrono::duration<double>(1 / std::max(per_second, 1e-3)))
                      : steady_clock::duration{0}) {}

  // False, and at once, when told to stop.
  bool Wait(const std::stop_token& stop) {
    if (stop.stop_requested()) return false;
    const auto now = steady_clock::now();
    if (due_ > now && !SleepUntil(due_, stop)) return false;
    due_ = std::max(due_, now) + interval_;
    return true;
  }

 private:
  const steady_clock::duration interval_;
  MonotonicTime due_{};
};

template <typename T>
Result<T> ToResult(ApiResult<T> answer) {
  if (!answer) return tl::unexpected(std::move(answer).error().error);
  return *std::move(answer);
}

std::string NameOf(std::uint64_t sequence) { return "dead letter " + std::to_string(sequence); }

}  // namespace

struct DeadLetters::Page {
  std::vector<DeadEntry> entries;  // Without payloads; second parts are among them.
  std::uint64_t next = 0;          // Where the next page begins; 0 = there is none.
};

struct DeadLetters::Parts {
  DeadEntry entry;
  std::uint64_t second = 0;  // Sequence of the second part; 0 = none.
};

// Tries again what may work later.
class DeadLetters::Patience {
 public:
  explicit Patience(std::chrono::milliseconds wait_max = {}, std::stop_token stop = {})
      : wait_max_(wait_max), stop_(std::move(stop)) {}

  // The first answer of `step` that is not kRetryable, or its last one after wait_max.
  template <typename Step>
  auto Try(Step step) const -> decltype(step()) {
    const auto end = steady_clock::now() + wait_max_;
    for (int failures = 1;; ++failures) {
      auto answer = step();
      if (answer || answer.error().kind != ErrorKind::kRetryable) return answer;
      const auto again = steady_clock::now() + kBackoff.After(failures);
      if (again > end) return answer;
      if (!SleepUntil(again, stop_)) return Wrap(std::move(answer).error(), "told to stop");
    }
  }

 private:
  const std::chrono::milliseconds wait_max_;
  const std::stop_token stop_;
};

DeadLetters::DeadLetters(const JetStream& jetstream, std::string pool_namespace, std::string pool,
                         std::chrono::milliseconds timeout)
    : jetstream_(jetstream),
      pool_namespace_(std::move(pool_namespace)),
      pool_(std::move(pool)),
      stream_(DeadStreamName(pool_namespace_, pool_)),
      timeout_(timeout) {}

std::string DeadLetters::SubjectOf(const DeadFilter& filter) const {
  if (!filter.lane) return DeadSubjectFilter(pool_namespace_, pool_);
  return DeadSubject({pool_namespace_, pool_, *filter.lane});
}

Result<DeadLetters::Page> DeadLetters::ReadPage(std::uint64_t from, std::uint64_t to,
                                                const std::string& subject) const {
  Page page;
  auto next =
      nats::ReadPage(jetstream_, stream_, subject, from, to, timeout_, [&](StoredMessage stored) {
        page.entries.push_back(ToEntry(std::move(stored)));
        page.entries.back().payload = {};
      });
  if (!next) return tl::unexpected(std::move(next).error().error);
  page.next = *next;
  return page;
}

DeadEntry DeadLetters::ToEntry(StoredMessage stored) const {
  return ReadDeadEntry({.stream = stream_,
                        .sequence = stored.sequence,
                        .stored_at = stored.stored_at,
                        .payload = std::move(stored.payload),
                        .headers = std::move(stored.headers)},
                       stored.subject.substr(stored.subject.rfind('.') + 1));
}

// Every entry up to `to` that matches, the oldest first, until `visit` fails.
Result<void> DeadLetters::ForEach(
    std::uint64_t to, const DeadFilter& filter, const Patience& patience,
    const std::function<Result<void>(const DeadEntry&)>& visit) const {
  const std::string subject = SubjectOf(filter);
  for (std::uint64_t at = 1; at != 0;) {
    auto page = patience.Try([&] { return ReadPage(at, to, subject); });
    if (!page) return tl::unexpected(std::move(page).error());
    for (const DeadEntry& entry : page->entries) {
      if (entry.part == DeadPart::kSecond || !Matches(filter, entry)) continue;
      if (auto visited = visit(entry); !visited) return visited;
    }
    at = page->next;
  }
  return {};
}

Result<DeadList> DeadLetters::List(const DeadListOptions& options) const {
  const auto state = jetstream_.StreamInfo(stream_);
  if (!state) return tl::unexpected(state.error().error);
  if (state->messages == 0) return DeadList{};
  DeadListOptions bounded = options;
  bounded.limit = std::clamp<std::size_t>(options.limit, 1, kListMax);
  return options.newest_first ? ListNewestFirst(bounded, *state) : ListOldestFirst(bounded, *state);
}

Result<DeadList> DeadLetters::ListOldestFirst(const DeadListOptions& options,
                                              const StreamState& state) const {
  DeadList list{.next = std::max<std::uint64_t>(options.from, 1)};
  const std::string subject = SubjectOf(options.filter);
  for (int pages = 0; list.next != 0 && pages < kPagesPerList; ++pages) {
    auto page = ReadPage(list.next, state.last_sequence, subject);
    if (!page) return tl::unexpected(std::move(page).error());
    for (DeadEntry& entry : page->entries) {
      if (entry.part == DeadPart::kSecond || !Matches(options.filter, entry)) continue;
      if (list.entries.size() == options.limit) {
        list.next = entry.sequence;
        return list;
      }
      list.entries.push_back(std::move(entry));
    }
    list.next = page->next;
  }
  return list;
}

Result<DeadList> DeadLetters::ListNewestFirst(const DeadListOptions& options,
                                              const StreamState& state) const {
  const std::string subject = SubjectOf(options.filter);
  DeadList list;
  std::uint64_t high = state.last_sequence;
  if (options.from != 0) high = std::min(high, options.from);
  BackwardWindows windows(state.first_sequence, high);
  for (int pages = 0; !windows.Over();) {
    if (pages >= kPagesPerList) {
      list.next = windows.high();
      return list;
    }
    std::vector<DeadEntry> window;
    bool narrowed = false;
    for (std::uint64_t at = windows.low(); at != 0 && !narrowed; ++pages) {
      auto page = ReadPage(at, windows.high(), subject);
      if (!page) return tl::unexpected(std::move(page).error());
      std::ranges::move(page->entries, std::back_inserter(window));
      at = page->next;
      narrowed = at != 0 && windows.Narrow();
    }
    if (narrowed) continue;
    std::ranges::reverse(window);
    for (DeadEntry& entry : window) {
      if (entry.part == DeadPart::kSecond || !Matches(options.filter, entry)) continue;
      if (list.entries.size() == options.limit) {
        list.next = entry.sequence;
        return list;
      }
      list.entries.push_back(std::move(entry));
    }
    windows.Next(window.empty());
  }
  return list;
}

// From the leader, which alone knows what has been removed.
Result<DeadEntry> DeadLetters::ReadMessage(std::uint64_t sequence) const {
  auto stored = jetstream_.GetMessage(stream_, sequence);
  if (!stored) return tl::unexpected(std::move(stored).error().error);
  return ToEntry(*std::move(stored));
}

Result<DeadLetters::Parts> DeadLetters::Read(std::uint64_t sequence) const {
  auto entry = ReadMessage(sequence);
  if (!entry) return tl::unexpected(std::move(entry).error());
  Parts parts{.entry = *std::move(entry)};
  if (parts.entry.part == DeadPart::kSecond) {
    return Fail(ErrorKind::kInvalid,
                NameOf(sequence) + " is the second part of another one: name that");
  }
  if (parts.entry.part == DeadPart::kWhole) return parts;
  const std::string subject = SubjectOf({.lane = parts.entry.lane});
  for (std::uint64_t at = sequence + 1; at != 0;) {
    auto page = ReadPage(at, sequence + kPartDistanceMax, subject);
    if (!page) return tl::unexpected(std::move(page).error());
    for (const DeadEntry& candidate : page->entries) {
      if (!IsSecondPartOf(candidate, parts.entry)) continue;
      auto second = ReadMessage(candidate.sequence);
      if (!second) return tl::unexpected(std::move(second).error());
      parts.second = second->sequence;
      parts.entry.payload += second->payload;
      parts.entry.payload_bytes = parts.entry.payload.size();
      parts.entry.part = DeadPart::kWhole;
      return parts;
    }
    at = page->next;
  }
  return parts;
}

Result<DeadEntry> DeadLetters::Show(std::uint64_t sequence) const {
  auto parts = Read(sequence);
  if (!parts) return tl::unexpected(std::move(parts).error());
  return std::move(parts->entry);
}

Result<DeadGroups> DeadLetters::Group(const DeadFilter& filter, std::size_t groups_max) const {
  const auto state = jetstream_.StreamInfo(stream_);
  if (!state) return tl::unexpected(state.error().error);
  DeadGrouping grouping(groups_max);
  auto read = ForEach(state->last_sequence, filter, Patience(), [&](const DeadEntry& entry) {
    grouping.Add(entry);
    return Result<void>{};
  });
  if (!read) return tl::unexpected(std::move(read).error());
  return grouping.Groups();
}

Result<void> DeadLetters::Remove(std::uint64_t sequence) const {
  auto removed = jetstream_.DeleteMessage(stream_, sequence);
  if (removed) return {};
  // The server answers a removal that was made before, or by somebody else, with an error.
  const auto still_there = jetstream_.GetMessage(stream_, sequence);
  if (!still_there && still_there.error().cause == ApiCause::kMessageMissing) return {};
  return tl::unexpected(std::move(removed).error().error);
}

// The first part first: a second one alone is no entry and cannot be sent again by mistake.
Result<void> DeadLetters::Remove(const Parts& parts) const {
  if (auto removed = Remove(parts.entry.sequence); !removed) return removed;
  if (parts.second == 0) return {};
  return Remove(parts.second);
}

Result<void> DeadLetters::Send(const Parts& parts, const ReplayOptions& options) const {
  const DeadEntry& entry = parts.entry;
  if (entry.part == DeadPart::kFirst) {
    return Fail(ErrorKind::kInvalid, "the second part of its payload is missing: discard it");
  }
  const LaneKey key{pool_namespace_, pool_, options.lane.empty() ? entry.lane : options.lane};
  if (auto good = CheckLaneKey(key); !good) return good;
  const OutMessage replay = EncodeReplay(entry, std::chrono::system_clock::now());
  const Patience patience(options.wait_max, options.stop);
  auto sent = patience.Try([&] {
    return ToResult(jetstream_.PublishAck(JobSubject(key), replay.payload, replay.headers));
  });
  if (!sent) return tl::unexpected(std::move(sent).error());
  auto removed = patience.Try([&] { return Remove(parts); });
  if (!removed) {
    return Wrap(std::move(removed).error(), "it is in lane " + key.lane + " again, and here still");
  }
  return {};
}

Result<void> DeadLetters::Replay(std::uint64_t sequence, const ReplayOptions& options) const {
  const auto parts = Patience(options.wait_max, options.stop).Try([&] { return Read(sequence); });
  if (!parts) return tl::unexpected(parts.error());
  if (auto sent = Send(*parts, options); !sent) {
    return Wrap(std::move(sent).error(), NameOf(sequence));
  }
  return {};
}

DeadOutcome DeadLetters::Replay(const DeadFilter& filter, const ReplayOptions& options) const {
  const Patience patience(options.wait_max, options.stop);
  const auto state = patience.Try([&] { return ToResult(jetstream_.StreamInfo(stream_)); });
  if (!state) return {.ended_by = state.error()};
  DeadOutcome outcome;
  Pace pace(options.per_second);
  const auto send = [&](const DeadEntry& entry) -> Result<void> {
    if (!pace.Wait(options.stop)) return Fail(ErrorKind::kRetryable, "told to stop");
    const auto parts = patience.Try([&] { return Read(entry.sequence); });
    if (!parts && parts.error().kind == ErrorKind::kNotFound) return {};  // Somebody else did it.
    auto sent = parts ? Send(*parts, options) : tl::unexpected(parts.error());
    if (sent) {
      ++outcome.progress.done;
    } else if (sent.error().kind == ErrorKind::kInvalid ||
               sent.error().kind == ErrorKind::kNotFound) {
      if (outcome.progress.kept++ == 0) {
        outcome.progress.kept_why = NameOf(entry.sequence) + ": " + sent.error().message;
      }
    } else {
      return Wrap(std::move(sent).error(), NameOf(entry.sequence));
    }
    if (options.on_progress) options.on_progress(outcome.progress);
    return {};
  };
  if (auto all = ForEach(state->last_sequence, filter, patience, send); !all) {
    outcome.ended_by = std::move(all).error();
  }
  return outcome;
}

Result<void> DeadLetters::Discard(std::uint64_t sequence) const {
  const auto parts = Read(sequence);
  if (!parts) return tl::unexpected(parts.error());
  return Remove(*parts);
}

DeadOutcome DeadLetters::Discard(const DeadFilter& filter, const std::stop_token& stop) const {
  const auto state = jetstream_.StreamInfo(stream_);
  if (!state) return {.ended_by = state.error().error};
  DeadOutcome outcome;
  if (!filter.type && !filter.reason && !filter.fingerprint) {
    // A wildcard would be somebody else's lane, gone for good.
    const LaneKey key{pool_namespace_, pool_, filter.lane.value_or("any")};
    if (auto good = CheckLaneKey(key); !good) return {.ended_by = std::move(good).error()};
    auto purged = Purge(state->last_sequence, SubjectOf(filter));
    if (!purged) return {.ended_by = std::move(purged).error()};
    outcome.progress.done = *purged;
    return outcome;
  }
  const auto discard = [&](const DeadEntry& entry) -> Result<void> {
    if (stop.stop_requested()) return Fail(ErrorKind::kRetryable, "told to stop");
    auto discarded =
        entry.part == DeadPart::kWhole ? Remove(entry.sequence) : Discard(entry.sequence);
    if (!discarded && discarded.error().kind == ErrorKind::kNotFound) return {};
    if (!discarded) return Wrap(std::move(discarded).error(), NameOf(entry.sequence));
    ++outcome.progress.done;
    return {};
  };
  if (auto all = ForEach(state->last_sequence, filter, Patience(), discard); !all) {
    outcome.ended_by = std::move(all).error();
  }
  return outcome;
}

Result<std::int64_t> DeadLetters::Purge(std::uint64_t last, const std::string& subject) const {
  const json request = {{"filter", subject}, {"seq", last + 1}};  // Up to, without, `seq`.
  auto answer = jetstream_.Call("STREAM.PURGE." + stream_, request.dump());
  if (!answer) return Wrap(std::move(answer).error(), "purging stream " + stream_);
  const json body = json::parse(answer->payload, nullptr, /*allow_exceptions=*/false);
  const auto purged = body.find("purged");
  return purged != body.end() && purged->is_number_integer() ? purged->get<std::int64_t>() : 0;
}

}  // namespace lanekeeper::nats
