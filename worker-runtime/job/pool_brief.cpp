#include "worker-runtime/job/pool_brief.h"

namespace lanekeeper {
namespace {

constexpr std::string_view kRoutesName = "Routes";
constexpr std::string_view kLearnedName = "Learned";

}  // namespace

std::string_view NameOf(Routing routing) {
  return routing == Routing::kLearned ? kLearnedName : kRoutesName;
}

std::optional<Routing> RoutingFromName(std::string_view name) {
  if (name == kRoutesName) return Routing::kRoutes;
  if (name == kLearnedName) return Routing::kLearned;
  return std::nullopt;
}

}  // namespace lanekeeper
