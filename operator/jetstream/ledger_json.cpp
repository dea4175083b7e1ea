#include "operator/jetstream/ledger_json.h"

#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "worker-runtime/base/time.h"
#include "worker-runtime/job/rfc3339.h"

namespace lanekeeper {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;

constexpr int kVersion = 1;
constexpr std::size_t kTextMax = 64 * 1024;
constexpr std::size_t kTermsMax = 64;

// ---- What an entry consists of, once for both directions ----
//
// Each list takes the struct apart by its number of members, so that a member that was added does
// not compile before it is named here.

template <typename Key, typename Field>
requires std::is_same_v<std::remove_const_t<Key>, LaneKey>
void ForEachField(Key& key, Field&& field) {
  auto& [pool_namespace, pool, lane] = key;
  field("namespace", pool_namespace);
  field("pool", pool);
  field("lane", lane);
}

template <typename Policy, typename Field>
requires std::is_same_v<std::remove_const_t<Policy>, scaling::ScalingPolicy>
void ForEachField(Policy& policy, Field&& field) {
  auto& [workers_min, workers_max, jobs_per_worker, scale_down_window, window_cold_starts, slots,
         target_wait, paused] = policy;
  field("workers_min", workers_min);
  field("workers_max", workers_max);
  field("jobs_per_worker", jobs_per_worker);
  field("scale_down_window_ms", scale_down_window);
  field("window_cold_starts", window_cold_starts);
  field("slots", slots);
  field("target_wait_ms", target_wait);
  field("paused", paused);
}

template <typename Estimate, typename Field>
requires std::is_same_v<std::remove_const_t<Estimate>, scaling::Estimate>
void ForEachField(Estimate& estimate, Field&& field) {
  auto& [service_mean, service_p95, service_jobs, arrivals, arrivals_high, cold_start, slots_next] =
      estimate;
  field("service_seconds_mean", service_mean);
  field("service_seconds_p95", service_p95);
  field("service_jobs", service_jobs);
  field("arrivals_per_second", arrivals);
  field("arrivals_per_second_high", arrivals_high);
  field("cold_start_seconds", cold_start);
  field("slots_next", slots_next);
}

template <typename Observation, typename Field>
requires std::is_same_v<std::remove_const_t<Observation>, scaling::Observation>
void ForEachField(Observation& seen, Field&& field) {
  auto& [doubt, waiting, running, parked, open_pulls, ack_pending_max, workers_current,
         workers_busy, workers_starting, workers_stuck, lane_paused, estimate, peak_demand] = seen;
  field("doubt", doubt);
  field("waiting", waiting);
  field("running", running);
  field("parked", parked);
  field("open_pulls", open_pulls);
  field("ack_pending_max", ack_pending_max);
  field("workers_current", workers_current);
  field("workers_busy", workers_busy);
  field("workers_starting", workers_starting);
  field("workers_stuck", workers_stuck);
  field("lane_paused", lane_paused);
  field("estimate", estimate);
  field("peak_demand", peak_demand);
}

template <typename Term, typename Field>
requires std::is_same_v<std::remove_const_t<Term>, scaling::TermResult>
void ForEachField(Term& result, Field&& field) {
  auto& [term, workers] = result;
  field("term", term);
  field("workers", workers);
}

template <typename Decision, typename Field>
requires std::is_same_v<std::remove_const_t<Decision>, scaling::ScalingDecision>
void ForEachField(Decision& decision, Field&& field) {
  auto& [workers, demand, reason, limited, terms] = decision;
  field("workers", workers);
  field("demand", demand);
  field("reason", reason);
  field("limited", limited);
  field("terms", terms);
}

template <typename Entry, typename Field>
requires std::is_same_v<std::remove_const_t<Entry>, LedgerEntry>
void ForEachField(Entry& entry, Field&& field) {
  auto& [key, time, policy, observation, decided, applied, observed_only, sentence, leader, epoch] =
      entry;
  field("lane", key);
  field("time", time);
  field("policy", policy);
  field("observation", observation);
  field("decided", decided);
  field("applied", applied);
  field("observed_only", observed_only);
  field("sentence", sentence);
  field("leader", leader);
  field("epoch", epoch);
}

// ---- Words ----

std::string_view WordOf(scaling::Doubt doubt) {
  using enum scaling::Doubt;
  switch (doubt) {
    case kNone:
      return "None";
    case kNoSampleYet:
      return "NoSampleYet";
    case kStale:
      return "Stale";
    case kDisconnected:
      return "Disconnected";
    case kJetStreamOff:
      return "JetStreamOff";
    case kConsumerMissing:
      return "ConsumerMissing";
    case kRefused:
      return "Refused";
    case kUnreadable:
      return "Unreadable";
  }
  return {};
}
std::string_view WordOf(scaling::ScalingReason reason) { return ToString(reason); }
std::string_view WordOf(scaling::Term term) { return ToString(term); }

// The one whose word it is. Enumerators are counted up to where none has a word of its own.
template <typename Enum>
std::optional<Enum> OfWord(std::string_view word) {
  constexpr int kPastAll = 1000;
  const std::string_view none = WordOf(static_cast<Enum>(kPastAll));
  for (int n = 0; n < kPastAll; ++n) {
    const std::string_view candidate = WordOf(static_cast<Enum>(n));
    if (candidate == none) return std::nullopt;
    if (candidate == word) return static_cast<Enum>(n);
  }
  return std::nullopt;
}

// JSON has no such numbers.
constexpr std::array<std::pair<double, const char*>, 2> kInfinities{{
    {std::numeric_limits<double>::infinity(), "inf"},
    {-std::numeric_limits<double>::infinity(), "-inf"},
}};
constexpr const char* kNotANumber = "nan";

template <typename T>
constexpr bool kIsOptional = false;
template <typename T>
constexpr bool kIsOptional<std::optional<T>> = true;
template <typename T>
constexpr bool kIsVector = false;
template <typename T>
constexpr bool kIsVector<std::vector<T>> = true;

// ---- Writing ----

json ToJson(double value) {
  if (std::isnan(value)) return kNotANumber;
  for (const auto& [number, word] : kInfinities) {
    if (value == number) return word;
  }
  return value;  // nlohmann writes as many digits as it takes to read it back.
}

template <typename T>
json ToJson(const T& value) {
  if constexpr (std::is_enum_v<T>) {
    return WordOf(value);
  } else if constexpr (std::is_same_v<T, milliseconds>) {
    return value.count();
  } else if constexpr (std::is_same_v<T, WallTime>) {
    return FormatRfc3339Nanos(value);
  } else if constexpr (std::is_arithmetic_v<T> || std::is_same_v<T, std::string>) {
    return value;
  } else if constexpr (kIsVector<T>) {
    json array = json::array();
    for (const auto& element : value) array.push_back(ToJson(element));
    return array;
  } else {
    json object = json::object();
    ForEachField(value, [&object](const char* name, const auto& member) {
      if constexpr (kIsOptional<std::remove_cvref_t<decltype(member)>>) {
        if (member) object[name] = ToJson(*member);
      } else {
        object[name] = ToJson(member);
      }
    });
    return object;
  }
}

// ---- Reading ----

// Reads into what it is given and remembers the path of the first field that is not what it should
// be.
class Reader {
 public:
  template <typename T>
  void Object(const json& from, T& into) {
    if (!from.is_object()) return Bad();
    ForEachField(into, [&](const char* name, auto& member) {
      using Member = std::remove_cvref_t<decltype(member)>;
      const std::string outer = path_;
      path_ += outer.empty() ? name : std::string(".") + name;
      const auto found = from.find(name);
      if constexpr (kIsOptional<Member>) {
        if (found != from.end()) Value(*found, member.emplace());
      } else if (found == from.end()) {
        Bad();
      } else {
        Value(*found, member);
      }
      path_ = outer;
    });
  }

  const std::string& bad() const { return bad_; }  // Empty: all is well.

 private:
  void Bad() {
    if (bad_.empty()) bad_ = path_.empty() ? "not a JSON object" : path_;
  }

  void Value(const json& from, bool& into) {
    if (!from.is_boolean()) return Bad();
    into = from.get<bool>();
  }
  void Value(const json& from, std::string& into) {
    if (!from.is_string()) return Bad();
    into = from.get<std::string>();
  }
  void Value(const json& from, double& into) {
    if (from.is_number()) {
      into = from.get<double>();
      return;
    }
    if (!from.is_string()) return Bad();
    const auto& word = from.get_ref<const std::string&>();
    if (word == kNotANumber) {
      into = std::numeric_limits<double>::quiet_NaN();
      return;
    }
    for (const auto& [number, name] : kInfinities) {
      if (word != name) continue;
      into = number;
      return;
    }
    Bad();
  }
  template <typename T>
  requires std::is_integral_v<T>
  void Value(const json& from, T& into) {
    if (!from.is_number_integer()) return Bad();
    // What is beyond the range of int64 would come out as another number.
    if (from.is_number_unsigned() &&
        from.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<T>::max())) {
      return Bad();
    }
    const auto value = from.get<std::int64_t>();
    if (!std::in_range<T>(value)) return Bad();
    into = static_cast<T>(value);
  }
  void Value(const json& from, milliseconds& into) {
    std::int64_t count = 0;
    Value(from, count);
    into = milliseconds(count);
  }
  void Value(const json& from, WallTime& into) {
    std::string text;
    Value(from, text);
    const auto time = ParseRfc3339(text);
    if (!time) return Bad();
    into = *time;
  }
  template <typename T>
  requires std::is_enum_v<T>
  void Value(const json& from, T& into) {
    std::string word;
    Value(from, word);
    const auto value = OfWord<T>(word);
    if (!value) return Bad();
    into = *value;
  }
  template <typename T>
  void Value(const json& from, std::vector<T>& into) {
    if (!from.is_array() || from.size() > kTermsMax) return Bad();
    for (const json& element : from) Value(element, into.emplace_back());
  }
  template <typename T>
  requires std::is_class_v<T>
  void Value(const json& from, T& into) { Object(from, into); }

  std::string path_;
  std::string bad_;
};

tl::unexpected<Error> Bad(std::string_view what) {
  return Fail(ErrorKind::kInvalid, "ledger entry: " + std::string(what));
}

}  // namespace

std::string WriteLedgerEntry(const LedgerEntry& entry) {
  json object = ToJson(entry);
  object["v"] = kVersion;
  if (entry.leader.empty()) {  // There was one operator.
    object.erase("leader");
    object.erase("epoch");
  }
  return object.dump(-1, ' ', false, json::error_handler_t::replace);
}

Result<LedgerEntry> ReadLedgerEntry(std::string_view text) {
  if (text.size() > kTextMax) return Bad("more than 64 KiB");
  json object = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return Bad("not a JSON object");
  // Not in entries of before there were paused lanes.
  if (const auto seen = object.find("observation"); seen != object.end() && seen->is_object()) {
    seen->emplace("lane_paused", false);
  }
  object.emplace("leader", "");
  object.emplace("epoch", 0);
  const auto version = object.find("v");
  if (version == object.end() || !version->is_number_unsigned()) return Bad("v");
  if (version->get<std::uint64_t>() > kVersion) {
    return Bad("v " + version->dump() + " is newer than this program, which reads v " +
               std::to_string(kVersion));
  }
  LedgerEntry entry;
  Reader reader;
  reader.Object(object, entry);
  if (!reader.bad().empty()) return Bad(reader.bad());
  return entry;
}

}  // namespace lanekeeper
