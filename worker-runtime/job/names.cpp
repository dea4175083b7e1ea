#include "worker-runtime/job/names.h"

#include <cassert>
#include <cstddef>
#include <initializer_list>

namespace lanekeeper {
namespace {

constexpr std::size_t kLabelLengthMax = 63;

bool IsLowerAlphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

bool IsDnsLabel(std::string_view text) {
  if (text.empty() || text.size() > kLabelLengthMax) return false;
  if (!IsLowerAlphanumeric(text.front()) || !IsLowerAlphanumeric(text.back())) return false;
  for (const char c : text) {
    if (!IsLowerAlphanumeric(c) && c != '-') return false;
  }
  return true;
}

std::string Join(std::initializer_list<std::string_view> parts, char separator) {
  std::string text;
  for (const std::string_view part : parts) {
    if (!text.empty()) text += separator;
    text += part;
  }
  return text;
}

bool IsTokenCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_';
}

}  // namespace

Result<void> CheckLaneKey(const LaneKey& key) {
  const auto check = [](std::string_view what, std::string_view part) -> Result<void> {
    if (IsDnsLabel(part)) return {};
    return Fail(ErrorKind::kInvalid,
                std::string(what) + " \"" + std::string(part) +
                    "\" is not a name of 1 to 63 lower-case letters, digits and '-'");
  };
  if (Result<void> checked = check("namespace", key.pool_namespace); !checked) return checked;
  if (Result<void> checked = check("pool", key.pool); !checked) return checked;
  return check("lane", key.lane);
}

std::string ToString(const LaneKey& key) {
  return Join({key.pool_namespace, key.pool, key.lane}, '/');
}

std::string JobStreamName(const LaneKey& key) {
  return Join({"LK", key.pool_namespace, key.pool, key.lane}, '_');
}

std::string JobSubject(const LaneKey& key) {
  return Join({"lk.jobs", key.pool_namespace, key.pool, key.lane}, '.');
}

std::string DeadStreamName(std::string_view pool_namespace, std::string_view pool) {
  return Join({"LK", pool_namespace, pool, "DEAD"}, '_');
}

std::string DeadSubject(const LaneKey& key) {
  return Join({"lk.dead", key.pool_namespace, key.pool, key.lane}, '.');
}

std::string DeadSubjectFilter(std::string_view pool_namespace, std::string_view pool) {
  return Join({"lk.dead", pool_namespace, pool, "*"}, '.');
}

std::string WorkerReportSubject(const LaneKey& key, std::string_view worker) {
  return Join({"lk.v1.worker", key.pool_namespace, key.pool, key.lane, WorkerNameToken(worker)},
              '.');
}

std::string WorkerControlSubject(const LaneKey& key, std::string_view worker) {
  return Join({"lk.v1.control", key.pool_namespace, key.pool, key.lane, WorkerNameToken(worker)},
              '.');
}

std::string WakeSubject(const LaneKey& key) {
  return Join({"lk.v1.wake", key.pool_namespace, key.pool, key.lane}, '.');
}

std::string LedgerSubject(const LaneKey& key) {
  return Join({"lk.ledger", key.pool_namespace, key.pool, key.lane}, '.');
}

std::string PoolSpecSubject(std::string_view pool_namespace, std::string_view pool) {
  return "$KV." + Join({kPoolBucket, pool_namespace, pool, "spec"}, '.');
}

std::string PoolStatusSubject(std::string_view pool_namespace, std::string_view pool) {
  return "$KV." + Join({kPoolBucket, pool_namespace, pool, "status"}, '.');
}

std::string LanePauseSubject(const LaneKey& key) {
  return "$KV." + Join({kPoolBucket, key.pool_namespace, key.pool, "pause", key.lane}, '.');
}

std::string IdempotencySubject(std::string_view pool_namespace, std::string_view pool,
                               std::string_view hash) {
  return "$KV." + Join({kKeyBucket, pool_namespace, pool, hash}, '.');
}

std::string JobIdToken(std::string_view job_id) {
  constexpr std::string_view hex = "0123456789ABCDEF";
  std::string token;
  token.reserve(job_id.size());
  for (const char c : job_id) {
    if (IsTokenCharacter(c)) {
      token += c;
    } else {
      const auto byte = static_cast<unsigned char>(c);
      token.append({'=', hex[byte >> 4], hex[byte & 15]});
    }
  }
  return token;
}

std::string RecordKey(const LaneKey& key, std::string_view job_id) {
  return Join({key.pool_namespace, key.pool, key.lane, JobIdToken(job_id)}, '.');
}

std::string RecordSubjectPrefix(const LaneKey& key) {
  return "$KV." + Join({kRecordBucket, key.pool_namespace, key.pool, key.lane, ""}, '.');
}

std::string RecordSubject(const LaneKey& key, std::string_view job_id) {
  return RecordSubjectPrefix(key) + JobIdToken(job_id);
}

std::string RecordSubjectFilter(const LaneKey& key) {
  return "$KV." + Join({kRecordBucket, key.pool_namespace, key.pool, key.lane, "*"}, '.');
}

std::optional<LaneKey> LaneKeyFromSubject(std::string_view subject, int prefix_tokens) {
  assert(prefix_tokens >= 0);
  const auto take = [&subject]() -> std::optional<std::string_view> {
    if (subject.empty()) return std::nullopt;
    const std::size_t dot = subject.find('.');
    const std::string_view token = subject.substr(0, dot);
    subject = dot == std::string_view::npos ? std::string_view{} : subject.substr(dot + 1);
    return token;
  };
  for (int n = 0; n < prefix_tokens; ++n) {
    if (!take()) return std::nullopt;
  }
  const auto pool_namespace = take();
  const auto pool = take();
  const auto lane = take();
  if (!pool_namespace || !pool || !lane) return std::nullopt;
  LaneKey key{std::string(*pool_namespace), std::string(*pool), std::string(*lane)};
  if (!CheckLaneKey(key)) return std::nullopt;
  return key;
}

std::string WorkerNameToken(std::string_view name) {
  if (name.empty()) return "-";
  std::string token(name);
  for (char& c : token) {
    if (!IsTokenCharacter(c)) c = '-';
  }
  return token;
}

}  // namespace lanekeeper
