// Answers that stay open: streams and waits. What a shutdown has to end before its time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <unordered_map>

namespace lanekeeper::gateway {

class HttpLive {
 public:
  using Id = std::uint64_t;

  // `end` is called at most once, on the thread of EndAll, and at once when that has been.
  Id Add(std::function<void()> end);
  void Remove(Id id);
  void EndAll();
  std::size_t Count() const;

 private:
  mutable std::mutex mutex_;
  bool ended_ = false;
  Id last_id_ = 0;
  std::unordered_map<Id, std::function<void()>> open_;
};

}  // namespace lanekeeper::gateway
