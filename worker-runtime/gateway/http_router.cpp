#include "worker-runtime/gateway/http_router.h"

#include <algorithm>
#include <utility>

namespace lanekeeper::gateway {
namespace {

constexpr std::string_view kStreamMedia = "text/event-stream";

std::vector<std::string_view> SplitTemplate(std::string_view path) {
  std::vector<std::string_view> segments;
  path.remove_prefix(1);
  while (true) {
    const std::size_t end = std::min(path.find('/'), path.size());
    segments.push_back(path.substr(0, end));
    if (end == path.size()) return segments;
    path.remove_prefix(end + 1);
  }
}

bool IsParam(std::string_view segment) { return segment.starts_with('{'); }

bool Fits(const std::vector<std::string_view>& path_template,
          const std::vector<std::string>& segments) {
  if (path_template.size() != segments.size()) return false;
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const bool fits =
        IsParam(path_template[i]) ? !segments[i].empty() : path_template[i] == segments[i];
    if (!fits) return false;
  }
  return true;
}

bool TakesHead(const HttpRoute& route) {
  return route.method == "GET" && route.media != kStreamMedia;
}

}  // namespace

HttpRouter::HttpRouter(std::vector<HttpRoute> routes) : routes_(std::move(routes)) {
  templates_.reserve(routes_.size());
  for (const HttpRoute& route : routes_) templates_.push_back(SplitTemplate(route.path));
}

HttpRouter::Match HttpRouter::Find(std::string_view method,
                                   const std::vector<std::string>& segments) const {
  Match match;
  std::string_view path;
  for (std::size_t i = 0; i < routes_.size(); ++i) {
    const HttpRoute& route = routes_[i];
    if (!path.empty() ? route.path != path : !Fits(templates_[i], segments)) continue;
    if (path.empty()) {
      path = route.path;
      for (std::size_t at = 0; at < segments.size(); ++at) {
        const std::string_view segment = templates_[i][at];
        if (!IsParam(segment)) continue;
        match.params.emplace(segment.substr(1, segment.size() - 2), segments[at]);
      }
    }
    match.allow.append(route.method).append(TakesHead(route) ? ", HEAD, " : ", ");
    if (route.method == method || (method == "HEAD" && TakesHead(route))) match.route = &route;
  }
  if (!path.empty()) match.allow += "OPTIONS";
  return match;
}

}  // namespace lanekeeper::gateway
