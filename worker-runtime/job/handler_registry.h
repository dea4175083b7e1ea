// Which handler runs which type of job. Pure.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "worker-runtime/job/job.h"
#include "worker-runtime/job/outcome.h"

namespace lanekeeper {

// Called on several threads at once, one per slot. An exception counts as Failed with its what().
using Handler = std::function<Outcome(Job&)>;

// Filled before the worker starts, read by many threads afterwards.
class HandlerRegistry {
 public:
  // For jobs of exactly this type; the empty type is that of a message without Lk-Type.
  // Replaces an earlier handler of the type.
  void Handle(std::string type, Handler handler);
  // For jobs of every type without a handler of its own.
  void HandleAny(Handler handler);

  // Null when nothing handles this type. Valid as long as the registry.
  const Handler* Find(std::string_view type) const;
  bool empty() const { return by_type_.empty() && !any_; }

 private:
  std::map<std::string, Handler, std::less<>> by_type_;
  Handler any_;
};

}  // namespace lanekeeper
