#include "worker-runtime/job/handler_registry.h"

#include <cassert>
#include <utility>

namespace lanekeeper {

void HandlerRegistry::Handle(std::string type, Handler handler) {
  assert(handler);
  by_type_.insert_or_assign(std::move(type), std::move(handler));
}

void HandlerRegistry::HandleAny(Handler handler) {
  assert(handler);
  any_ = std::move(handler);
}

const Handler* HandlerRegistry::Find(std::string_view type) const {
  const auto found = by_type_.find(type);
  if (found != by_type_.end()) return &found->second;
  return any_ ? &any_ : nullptr;
}

}  // namespace lanekeeper
