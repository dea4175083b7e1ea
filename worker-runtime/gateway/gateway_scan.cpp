#include "worker-runtime/gateway/gateway_scan.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "worker-runtime/nats/jetstream.h"

namespace lanekeeper::gateway {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr int kBatchMessages = 512;
constexpr std::size_t kBatchBytes = 8 << 20;
constexpr milliseconds kReadTimeout{5000};

using Visit = std::function<bool(const nats::StoredMessage&)>;

struct Batch {
  bool stopped = false;    // By `visit`.
  std::uint64_t next = 0;  // 0: that was all.
  std::int64_t messages = 0;
};

Result<Batch> ReadBatch(nats::Connection& connection, const std::string& stream,
                        const json& request, const Visit& visit) {
  const std::string inbox = connection.NewInbox();
  auto answers = connection.Subscribe(inbox, kBatchMessages + 1);
  if (!answers) return tl::unexpected(std::move(answers).error());
  auto asked = connection.PublishRequest("$JS.API.DIRECT.GET." + stream, inbox, request.dump());
  if (!asked) return tl::unexpected(std::move(asked).error());
  const MonotonicTime deadline = steady_clock::now() + kReadTimeout;
  Batch batch;
  while (true) {
    const auto left = std::chrono::ceil<milliseconds>(deadline - steady_clock::now());
    const auto answer = (*answers)->Next(std::max(left, milliseconds(0)));
    if (!answer) return Fail(ErrorKind::kRetryable, "no answer");
    if (answer->status == 204 && !answer->Header("Nats-Sequence")) {
      if (answer->Header("Nats-Num-Pending") == "0") batch.next = 0;
      return batch;
    }
    auto stored = nats::ParseStoredMessage(*answer);
    if (!stored && stored.error().cause == nats::ApiCause::kMessageMissing) {
      batch.next = 0;
      return batch;
    }
    if (!stored) return tl::unexpected(std::move(stored).error().error);
    batch.next = stored->sequence + 1;
    ++batch.messages;
    if (!visit(*stored)) {
      batch.stopped = true;
      return batch;
    }
  }
}

// A direct get of a stream that has none is not answered at all.
Result<bool> HasDirectGets(const nats::JetStream& jetstream, const std::string& stream) {
  const auto state = jetstream.StreamInfo(stream);
  if (!state) return tl::unexpected(state.error().error);
  const json config = json::parse(state->config_json, nullptr, /*allow_exceptions=*/false);
  return config.is_object() && config.value("allow_direct", json()) == true;
}

// Knows no start by time, and one message is one request.
Result<bool> ScanOneByOne(nats::Connection& connection, const ScanRange& range,
                          const Visit& visit) {
  const nats::JetStream jetstream(connection, kReadTimeout);
  std::uint64_t at = range.first_sequence;
  for (std::int64_t count = 0; count < range.messages_max; ++count) {
    const json request = {{"seq", at}, {"next_by_subj", range.subject}};
    auto answer = jetstream.Call("STREAM.MSG.GET." + range.stream, request.dump());
    if (!answer && answer.error().cause == nats::ApiCause::kMessageMissing) return true;
    if (!answer) return tl::unexpected(std::move(answer).error().error);
    auto stored = nats::ParseStoredMessage(*answer);
    if (!stored) return tl::unexpected(std::move(stored).error().error);
    at = stored->sequence + 1;
    if (stored->stored_at >= range.since && !visit(*stored)) return true;
  }
  return false;
}

}  // namespace

Result<bool> ScanStream(nats::Connection& connection, const ScanRange& range, const Visit& visit) {
  const auto direct = HasDirectGets(nats::JetStream(connection, kReadTimeout), range.stream);
  if (!direct) return tl::unexpected(direct.error());
  if (!*direct) return ScanOneByOne(connection, range, visit);
  json request = {{"seq", std::max<std::uint64_t>(1, range.first_sequence)},
                  {"next_by_subj", range.subject},
                  {"batch", kBatchMessages},
                  {"max_bytes", kBatchBytes}};
  if (range.since > WallTime{}) {
    request.erase("seq");
    request["start_time"] = FormatRfc3339Nanos(range.since);
  }
  for (std::int64_t messages = 0; messages < range.messages_max;) {
    auto batch = ReadBatch(connection, range.stream, request, visit);
    if (!batch) return Wrap(std::move(batch).error(), "reading stream " + range.stream);
    if (batch->stopped || batch->next == 0) return true;
    messages += batch->messages;
    request.erase("start_time");
    request["seq"] = batch->next;
  }
  return false;
}

}  // namespace lanekeeper::gateway
