#include "worker-runtime/nats/stream_pages.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "worker-runtime/base/duration.h"

namespace lanekeeper::nats {
namespace {

using std::chrono::steady_clock;

constexpr std::size_t kPageBytes = 4 << 20;  // The server ends a page behind the message over it.
constexpr std::uint64_t kWindowMax = std::uint64_t{1} << 40;

ApiError NoAnswer(Error error, const std::string& what) {
  error.message.insert(0, what + ": ");
  return {.error = std::move(error), .cause = ApiCause::kNoAnswer};
}

}  // namespace

// A batch of a direct get: each message as it is stored, then an empty one with status 204.
ApiResult<std::uint64_t> ReadPage(const JetStream& jetstream, const std::string& stream,
                                  const std::string& subject, std::uint64_t from, std::uint64_t to,
                                  std::chrono::milliseconds timeout,
                                  const std::function<void(StoredMessage)>& visit) {
  const std::string what = "reading stream " + stream + " from " + std::to_string(from);
  const auto deadline = steady_clock::now() + timeout;
  Connection& connection = jetstream.connection();
  const std::string inbox = connection.NewInbox();
  auto answers = connection.Subscribe(inbox, kPageMessages + 1);
  if (!answers) return tl::unexpected(NoAnswer(std::move(answers).error(), what));
  const nlohmann::json request = {{"seq", from},
                                  {"next_by_subj", subject},
                                  {"batch", std::min(kPageMessages, to - from + 1)},
                                  {"max_bytes", kPageBytes}};
  auto asked = connection.PublishRequest("$JS.API.DIRECT.GET." + stream, inbox, request.dump());
  if (!asked) return tl::unexpected(NoAnswer(std::move(asked).error(), what));

  std::uint64_t next = 0;
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - steady_clock::now());
    auto answer = (*answers)->Next(std::max(left, std::chrono::milliseconds(0)));
    if (!answer) {
      return tl::unexpected(
          NoAnswer({ErrorKind::kRetryable, "no answer in " + FormatDuration(timeout)}, what));
    }
    if (answer->status == 204 && !answer->Header("Nats-Sequence")) {
      return answer->Header("Nats-Num-Pending") == "0" || next > to ? 0 : next;
    }
    auto stored = ParseStoredMessage(*answer);
    if (!stored && stored.error().cause == ApiCause::kMessageMissing) return next;
    if (!stored) {
      stored.error().error.message.insert(0, what + ": ");
      return tl::unexpected(std::move(stored).error());
    }
    if (stored->sequence > to) return 0;
    next = stored->sequence + 1;
    visit(*std::move(stored));
  }
}

bool BackwardWindows::Narrow() {
  const std::uint64_t width = high_ - low() + 1;
  if (width <= kPageMessages) return false;
  width_ = std::max(kPageMessages, width / 8);
  return true;
}

void BackwardWindows::Next(bool empty) {
  const std::uint64_t below = low() - 1;
  width_ = empty ? std::min(width_ * 4, kWindowMax) : kPageMessages;
  high_ = below;
}

}  // namespace lanekeeper::nats
