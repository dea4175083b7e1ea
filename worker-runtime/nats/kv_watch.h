// What stands in a KV bucket, and every change of it from then on, in order.
//
// An ordered push consumer over raw requests, made anew whenever something may have been missed:
// after a reconnect, a gap, silence, a bucket that was deleted and made again. Changes that
// happened meanwhile are told then, also what has gone.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "worker-runtime/base/time.h"
#include "worker-runtime/nats/connection.h"

namespace lanekeeper::nats {

struct KvEntry {
  std::string key;
  std::string value;           // Empty with `deleted`.
  std::uint64_t revision = 0;  // 0: gone while nobody watched.
  WallTime written_at{};
  bool deleted = false;
};

struct KvWatchOptions {
  std::string bucket;
  // The server says so often that it is there; after two and a half of them without a word the
  // watch begins again.
  std::chrono::milliseconds heartbeat{2000};
  std::chrono::milliseconds retry{1000};  // While the bucket or the server is not there.
};

// The destructor waits for a call that runs. Any thread but that of its own calls.
class KvWatch {
 public:
  // `connection` outlives this. `changed` is called for every key that is new, has another value or
  // has gone; one call at a time, on a thread of this. Not for versions that were replaced before
  // they could be told. What was told stays as it is while the server or the bucket is away.
  static std::unique_ptr<KvWatch> Start(Connection& connection, KvWatchOptions options,
                                        std::function<void(const KvEntry&)> changed);
  virtual ~KvWatch() = default;

  // True once the bucket has been read to its end for the first time.
  virtual bool Current() const = 0;
  // How often it began to read.
  virtual std::int64_t Starts() const = 0;
};

}  // namespace lanekeeper::nats
