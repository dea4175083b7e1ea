// Every name that more than one process has to agree on: streams, subjects, headers, environment
// variables. The queue contract of worker-runtime/README.md, in code. Pure.
#pragma once

#include <compare>
#include <optional>
#include <string>
#include <string_view>

#include "worker-runtime/base/result.h"

namespace lanekeeper {

// Which lane: the key of everything the operator and the workers keep per lane. The three parts are
// DNS labels (CheckLaneKey), so neither '_' nor '.' can occur in them and every name below is
// unambiguous.
struct LaneKey {
  std::string pool_namespace;
  std::string pool;
  std::string lane;
  auto operator<=>(const LaneKey&) const = default;
};

// kInvalid, naming the part, when one is not a lower-case DNS label of at most 63 characters.
Result<void> CheckLaneKey(const LaneKey& key);

// "studio/media/short", for people.
std::string ToString(const LaneKey& key);

inline constexpr std::string_view kConsumerName = "workers";

std::string JobStreamName(const LaneKey& key);  // LK_<ns>_<pool>_<lane>
std::string JobSubject(const LaneKey& key);     // lk.jobs.<ns>.<pool>.<lane>
std::string DeadStreamName(std::string_view pool_namespace,
                           std::string_view pool);  // LK_<ns>_<pool>_DEAD
std::string DeadSubject(const LaneKey& key);        // lk.dead.<ns>.<pool>.<lane>
std::string DeadSubjectFilter(std::string_view pool_namespace,
                              std::string_view pool);  // lk.dead.<ns>.<pool>.*
std::string WorkerReportSubject(const LaneKey& key, std::string_view worker);   // lk.v1.worker.…
std::string WorkerControlSubject(const LaneKey& key, std::string_view worker);  // lk.v1.control.…
std::string WakeSubject(const LaneKey& key);  // lk.v1.wake.<ns>.<pool>.<lane>

// The operator's decisions: a stream of the account, one subject a lane.
inline constexpr std::string_view kLedgerStream = "LK_LEDGER";
inline constexpr std::string_view kLedgerFilter = "lk.ledger.*.*.*";
std::string LedgerSubject(const LaneKey& key);  // lk.ledger.<ns>.<pool>.<lane>

inline constexpr std::string_view kWorkerReportFilter = "lk.v1.worker.*.*.*.*";
inline constexpr std::string_view kWakeFilter = "lk.v1.wake.*.*.*";

// The lane named by the tokens after `prefix_tokens` leading ones: "lk.v1.wake.a.b.c" with 3 is
// {a, b, c}. Nothing when the subject is shorter or a part is not a valid name.
std::optional<LaneKey> LaneKeyFromSubject(std::string_view subject, int prefix_tokens);

// A worker's name becomes a subject token: everything but letters, digits, '-' and '_' becomes '-'.
std::string WorkerNameToken(std::string_view name);

// Records of jobs: a KV bucket of the account, one key a job. An id's characters other than
// letters, digits, '-' and '_' are written "=XX".
inline constexpr std::string_view kRecordBucket = "LK_jobs";
inline constexpr std::string_view kRecordStream = "KV_LK_jobs";
std::string RecordKey(const LaneKey& key, std::string_view job_id);      // <ns>.<pool>.<lane>.<id>
std::string RecordSubject(const LaneKey& key, std::string_view job_id);  // $KV.LK_jobs.<key>
std::string RecordSubjectPrefix(const LaneKey& key);  // All of it but the id's token.
std::string JobIdToken(std::string_view job_id);      // <id>
std::string RecordSubjectFilter(const LaneKey& key);  // $KV.LK_jobs.<ns>.<pool>.<lane>.*

// What the operator tells gateways of its pools: a KV bucket of the account.
inline constexpr std::string_view kPoolBucket = "LK_pools";
inline constexpr std::string_view kPoolStream = "KV_LK_pools";
// $KV.LK_pools.<ns>.<pool>.spec: PoolBrief. ….status: the value of WorkerPool.status.
std::string PoolSpecSubject(std::string_view pool_namespace, std::string_view pool);
std::string PoolStatusSubject(std::string_view pool_namespace, std::string_view pool);
std::string LanePauseSubject(const LaneKey& key);  // $KV.LK_pools.<ns>.<pool>.pause.<lane>

// Idempotency keys: a KV bucket of the account, one key for a caller's key.
inline constexpr std::string_view kKeyBucket = "LK_keys";
inline constexpr std::string_view kKeyStream = "KV_LK_keys";
// $KV.LK_keys.<ns>.<pool>.<hash>
std::string IdempotencySubject(std::string_view pool_namespace, std::string_view pool,
                               std::string_view hash);

// Message headers of the queue contract.
inline constexpr std::string_view kHeaderMessageId = "Nats-Msg-Id";  // The id, unless…
// …this names another. A '*' at its start stands for "<stream>.<sequence>", which a producer cannot
// know.
inline constexpr std::string_view kHeaderJobId = "Lk-Job-Id";
inline constexpr std::string_view kHeaderTimeout = "Lk-Timeout";  // "90s": less than the lane's.
// Of a job that overran another lane: "<lane>.<sequence>".
inline constexpr std::string_view kHeaderMovedFrom = "Lk-Moved-From";
// Of a dead letter that was sent again: how often by now.
inline constexpr std::string_view kHeaderReplay = "Lk-Replay";
inline constexpr std::string_view kHeaderType = "Lk-Type";
inline constexpr std::string_view kHeaderLane = "Lk-Lane";
inline constexpr std::string_view kHeaderDeadline = "Lk-Deadline";
inline constexpr std::string_view kHeaderCaller = "Lk-Caller";  // Who handed it to a gateway.
inline constexpr std::string_view kHeaderTraceparent = "traceparent";
// Added to a dead letter, beside the job's own headers.
inline constexpr std::string_view kHeaderDeadReason = "Lk-Dead-Reason";    // e.g. attempts-used-up
inline constexpr std::string_view kHeaderDeadMessage = "Lk-Dead-Message";  // one line
inline constexpr std::string_view kHeaderDeadAttempts = "Lk-Dead-Attempts";
inline constexpr std::string_view kHeaderDeadTime = "Lk-Dead-Time";  // RFC 3339
inline constexpr std::string_view kHeaderDeadWorker = "Lk-Dead-Worker";
inline constexpr std::string_view kHeaderDeadStream = "Lk-Dead-Stream";  // where it came from
inline constexpr std::string_view kHeaderDeadSequence = "Lk-Dead-Sequence";
inline constexpr std::string_view kHeaderDeadJobId = "Lk-Dead-Job-Id";
inline constexpr std::string_view kHeaderDeadCrashes = "Lk-Dead-Crashes";
inline constexpr std::string_view kHeaderDeadErrorClass = "Lk-Dead-Error-Class";
// The last lines the handler wrote: a JSON array of strings, because a header is one line.
inline constexpr std::string_view kHeaderDeadOutput = "Lk-Dead-Output";
inline constexpr std::string_view kHeaderDeadFirstTime = "Lk-Dead-First-Time";  // First start.
inline constexpr std::string_view kHeaderDeadPart = "Lk-Dead-Part";  // "1/2", "2/2": see codec.h.

// Settings of a lane as the operator hands them to its workers. All LANEKEEPER_* names are
// reserved: a pod template may not set them.
inline constexpr const char* kEnvNatsUrl = "LANEKEEPER_NATS_URL";
inline constexpr const char* kEnvNamespace = "LANEKEEPER_NAMESPACE";
inline constexpr const char* kEnvPool = "LANEKEEPER_POOL";
inline constexpr const char* kEnvLane = "LANEKEEPER_LANE";
inline constexpr const char* kEnvWorker = "LANEKEEPER_WORKER";  // The pod's name.
inline constexpr const char* kEnvStream = "LANEKEEPER_STREAM";
inline constexpr const char* kEnvConsumer = "LANEKEEPER_CONSUMER";
inline constexpr const char* kEnvDeadSubject = "LANEKEEPER_DEAD_SUBJECT";
inline constexpr const char* kEnvSlots = "LANEKEEPER_SLOTS";
inline constexpr const char* kEnvTimeout = "LANEKEEPER_TIMEOUT";
inline constexpr const char* kEnvGrace = "LANEKEEPER_GRACE";
inline constexpr const char* kEnvAttempts = "LANEKEEPER_ATTEMPTS";
inline constexpr const char* kEnvBackoffInitial = "LANEKEEPER_BACKOFF_INITIAL";
inline constexpr const char* kEnvBackoffMax = "LANEKEEPER_BACKOFF_MAX";
inline constexpr const char* kEnvCrashes = "LANEKEEPER_CRASHES";
inline constexpr const char* kEnvTracking = "LANEKEEPER_TRACKING";  // Full, Failures, None.
// onOverrun: the lane that takes a job whose timeout is over; unset = it has failed.
inline constexpr const char* kEnvOverrunLane = "LANEKEEPER_OVERRUN_LANE";
// Not set by the operator unless a pool asks for it; each has a default.
inline constexpr const char* kEnvNatsCredentials = "LANEKEEPER_NATS_CREDENTIALS";  // A .creds file.
inline constexpr const char* kEnvHttpPort = "LANEKEEPER_HTTP_PORT";  // Metrics, health; 0 = off.
inline constexpr const char* kEnvConfirmAcks = "LANEKEEPER_CONFIRM_ACKS";
inline constexpr const char* kEnvSupervise = "LANEKEEPER_SUPERVISE";
inline constexpr const char* kEnvLogLevel = "LANEKEEPER_LOG_LEVEL";

inline constexpr int kWorkerHttpPort = 8081;  // Unless kEnvHttpPort says otherwise.

}  // namespace lanekeeper
