// When connections are given up: one list for each kind of wait. All waits of a kind are equally
// long, so its list is in the order of its deadlines, and to wait or to stop waiting costs the same
// with ten thousand connections as with one. One thread.
#pragma once

#include <array>
#include <boost/intrusive/list.hpp>
#include <chrono>
#include <cstddef>

#include "worker-runtime/gateway/http_transport.h"

namespace lanekeeper::gateway::transport {

enum class Wait { kNothing, kHeader, kBody, kIdle, kWrite, kLinger };
inline constexpr std::size_t kWaitKinds = 6;

class Deadline : public boost::intrusive::list_base_hook<
                     boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
 public:
  virtual ~Deadline() = default;
  // The deadline has passed; it is not armed any more.
  virtual void OnDeadline(Wait what) = 0;
  Wait waits_for() const { return waits_for_; }

 private:
  friend class Deadlines;
  Wait waits_for_ = Wait::kNothing;
  std::chrono::steady_clock::time_point at_{};
};

class Deadlines {
 public:
  using Clock = std::chrono::steady_clock;
  explicit Deadlines(const TransportLimits& limits);

  // From now on, also when it waits for the same already. kNothing: no deadline.
  void Arm(Deadline& who, Wait what);
  // Calls all that have passed.
  void Sweep(Clock::time_point now);
  bool empty() const;
  // How often Sweep is to be called.
  std::chrono::milliseconds tick() const { return tick_; }

 private:
  using List = boost::intrusive::list<Deadline, boost::intrusive::constant_time_size<false>>;
  std::array<List, kWaitKinds> lists_;
  std::array<std::chrono::milliseconds, kWaitKinds> lengths_;
  std::chrono::milliseconds tick_;
};

}  // namespace lanekeeper::gateway::transport
