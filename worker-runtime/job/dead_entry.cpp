#include "worker-runtime/job/dead_entry.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include "worker-runtime/base/text.h"
#include "worker-runtime/job/names.h"
#include "worker-runtime/job/rfc3339.h"

namespace lanekeeper {
namespace {

std::string TextOf(const Headers& headers, std::string_view name) {
  return std::string(FindHeader(headers, name).value_or(""));
}

template <typename Number>
Number NumberOf(const Headers& headers, std::string_view name) {
  const std::string_view text = FindHeader(headers, name).value_or("");
  Number number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() && number > 0 ? number : 0;
}

std::optional<WallTime> TimeOf(const Headers& headers, std::string_view name) {
  const auto text = FindHeader(headers, name);
  return text ? ParseRfc3339(*text) : std::nullopt;
}

DeadPart PartOf(const Headers& headers) {
  const std::string_view part = FindHeader(headers, kHeaderDeadPart).value_or("");
  return part == "1/2" ? DeadPart::kFirst : part == "2/2" ? DeadPart::kSecond : DeadPart::kWhole;
}

// The lines of a JSON array of strings as EncodeDeadLetter writes it: '"' and '\' are escaped,
// nothing else needs to be. Anything else is one line, as it stands.
std::vector<std::string> OutputLines(std::string_view text) {
  if (text.empty()) return {};
  const std::vector<std::string> as_it_stands{std::string(text)};
  if (text.size() < 2 || text.front() != '[' || text.back() != ']') return as_it_stands;
  std::string_view rest = text.substr(1, text.size() - 2);
  std::vector<std::string> lines;
  while (!rest.empty()) {
    if (!lines.empty()) {
      if (rest.front() != ',') return as_it_stands;
      rest.remove_prefix(1);
    }
    if (rest.empty() || rest.front() != '"') return as_it_stands;
    std::string line;
    std::size_t at = 1;
    for (; at < rest.size() && rest[at] != '"'; ++at) {
      if (rest[at] == '\\' && ++at == rest.size()) return as_it_stands;
      line += rest[at];
    }
    if (at >= rest.size()) return as_it_stands;
    lines.push_back(std::move(line));
    rest.remove_prefix(at + 1);
  }
  return lines;
}

std::string_view FirstLine(std::string_view text) { return text.substr(0, text.find('\n')); }

}  // namespace

DeadEntry ReadDeadEntry(JobMessage letter, std::string lane) {
  const Headers& headers = letter.headers;
  DeadEntry entry;
  entry.part = PartOf(headers);
  entry.lane = std::move(lane);
  entry.job_id = TextOf(headers, kHeaderDeadJobId);
  if (entry.job_id.empty()) entry.job_id = letter.stream + "." + std::to_string(letter.sequence);
  entry.type = TextOf(headers, kHeaderType);
  entry.reason = TextOf(headers, kHeaderDeadReason);
  entry.error_class = TextOf(headers, kHeaderDeadErrorClass);
  entry.message = TextOf(headers, kHeaderDeadMessage);
  entry.output = OutputLines(FindHeader(headers, kHeaderDeadOutput).value_or(""));
  entry.attempts = NumberOf<int>(headers, kHeaderDeadAttempts);
  entry.crashes = NumberOf<int>(headers, kHeaderDeadCrashes);
  entry.first_started_at = TimeOf(headers, kHeaderDeadFirstTime);
  entry.died_at = TimeOf(headers, kHeaderDeadTime).value_or(letter.stored_at);
  entry.worker = TextOf(headers, kHeaderDeadWorker);
  entry.job_stream = TextOf(headers, kHeaderDeadStream);
  entry.job_sequence = NumberOf<std::uint64_t>(headers, kHeaderDeadSequence);
  entry.replays = NumberOf<int>(headers, kHeaderReplay);
  for (auto& header : letter.headers) {
    if (StartsWithIgnoringCase(header.first, "lk-dead-") ||
        StartsWithIgnoringCase(header.first, "nats-")) {
      continue;
    }
    entry.headers.push_back(std::move(header));
  }
  entry.stream = std::move(letter.stream);
  entry.sequence = letter.sequence;
  entry.payload = std::move(letter.payload);
  entry.payload_bytes = entry.payload.size();
  return entry;
}

bool IsSecondPartOf(const DeadEntry& second, const DeadEntry& first) {
  return first.part == DeadPart::kFirst && second.part == DeadPart::kSecond &&
         second.job_id == first.job_id && second.job_stream == first.job_stream &&
         second.job_sequence == first.job_sequence;
}

std::string Fingerprint(const DeadEntry& entry) {
  // None of the three has a line break in it, so different entries are different texts.
  std::string text = entry.type + "\n" + entry.error_class + "\n";
  text += FirstLine(entry.message);
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string digits;
  const std::uint64_t hash = Fnv1a(text);
  for (int shift = 60; shift >= 0; shift -= 4) digits += kHex[hash >> shift & 15];
  return digits;
}

bool Matches(const DeadFilter& filter, const DeadEntry& entry) {
  const auto same = [](const std::optional<std::string>& wanted, const std::string& value) {
    return !wanted || *wanted == value;
  };
  return same(filter.lane, entry.lane) && same(filter.type, entry.type) &&
         same(filter.reason, entry.reason) &&
         (!filter.fingerprint || *filter.fingerprint == Fingerprint(entry));
}

OutMessage EncodeReplay(const DeadEntry& entry, WallTime now) {
  OutMessage replay;
  for (const auto& [name, value] : entry.headers) {
    if (SameIgnoringCase(name, kHeaderJobId) || SameIgnoringCase(name, kHeaderReplay)) continue;
    if (SameIgnoringCase(name, kHeaderMovedFrom)) continue;
    if (SameIgnoringCase(name, kHeaderDeadline)) {
      const auto deadline = ParseRfc3339(value);
      if (deadline && *deadline <= now) continue;
    }
    replay.headers.emplace_back(name, value);
  }
  replay.headers.emplace_back(kHeaderMessageId,
                              entry.stream + "." + std::to_string(entry.sequence) + ".replay");
  replay.headers.emplace_back(kHeaderJobId, entry.job_id);
  replay.headers.emplace_back(kHeaderReplay, std::to_string(entry.replays + 1));
  replay.payload = entry.payload;
  return replay;
}

void DeadGrouping::Add(const DeadEntry& entry) {
  std::string fingerprint = Fingerprint(entry);
  auto found = groups_.find(fingerprint);
  if (found == groups_.end()) {
    if (groups_.size() >= groups_max_) {
      ++rest_;
      return;
    }
    DeadGroup group{.fingerprint = fingerprint,
                    .type = entry.type,
                    .error_class = entry.error_class,
                    .message = std::string(FirstLine(entry.message)),
                    .oldest = entry.died_at};
    found = groups_.emplace(std::move(fingerprint), std::move(group)).first;
  }
  DeadGroup& group = found->second;
  ++group.count;
  group.oldest = std::min(group.oldest, entry.died_at);
  group.newest = std::max(group.newest, entry.died_at);
  if (entry.sequence > group.example_sequence) {
    group.example_sequence = entry.sequence;
    group.example_job_id = entry.job_id;
  }
}

DeadGroups DeadGrouping::Groups() const {
  DeadGroups result{.rest = rest_};
  for (const auto& [fingerprint, group] : groups_) result.groups.push_back(group);
  std::ranges::sort(result.groups, [](const DeadGroup& a, const DeadGroup& b) {
    return a.count != b.count ? a.count > b.count : a.fingerprint < b.fingerprint;
  });
  return result;
}

}  // namespace lanekeeper
