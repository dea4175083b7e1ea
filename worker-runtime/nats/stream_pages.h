// Reading a stream page by page with direct gets, forwards and, window by window, backwards.
//
// Any replica answers a direct get, also one that lags behind: for lists, not for decisions. Needs
// allow_direct on the stream.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "worker-runtime/nats/jetstream.h"

namespace lanekeeper::nats {

// A page has at most so many messages, and 4 MiB or one message more.
inline constexpr std::uint64_t kPageMessages = 256;

// One page of the messages on `subject` from sequence `from` to `to`, the oldest first. Returns
// where the next page begins; 0: there is none. A stream without direct gets does not answer.
ApiResult<std::uint64_t> ReadPage(const JetStream& jetstream, const std::string& stream,
                                  const std::string& subject, std::uint64_t from, std::uint64_t to,
                                  std::chrono::milliseconds timeout,
                                  const std::function<void(StoredMessage)>& visit);

// JetStream reads forwards only: who wants the newest first reads windows, each forwards, from the
// end to the beginning. They grow over holes. Pure.
class BackwardWindows {
 public:
  // From sequence `high` down to `first`, both included.
  BackwardWindows(std::uint64_t first, std::uint64_t high)
      : first_(first == 0 ? 1 : first), high_(high) {}

  bool Over() const { return high_ < first_ || high_ == 0; }
  // Of the window to read next. Precondition: not Over.
  std::uint64_t low() const { return high_ - first_ >= width_ ? high_ - width_ + 1 : first_; }
  std::uint64_t high() const { return high_; }

  // It has more than a page in it. True: it is smaller now and has to be read anew.
  bool Narrow();
  // It is read; `empty`: nothing was in it.
  void Next(bool empty);

 private:
  std::uint64_t first_;
  std::uint64_t high_;
  std::uint64_t width_ = kPageMessages;
};

}  // namespace lanekeeper::nats
