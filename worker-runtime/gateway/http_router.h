// Which row of the table a request belongs to. Pure, but for what the rows do.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "worker-runtime/gateway/http_exchange.h"

namespace lanekeeper::gateway {

class HttpRouter {
 public:
  // In their order: a path belongs to the first template that fits.
  explicit HttpRouter(std::vector<HttpRoute> routes);
  HttpRouter(const HttpRouter&) = delete;  // Matches point into it.
  HttpRouter& operator=(const HttpRouter&) = delete;

  struct Match {
    const HttpRoute* route = nullptr;  // Null: see `allow`.
    std::map<std::string, std::string, std::less<>> params;
    std::string allow;  // Methods of this path: "GET, HEAD, OPTIONS". Empty: no such path.
  };
  // HEAD is answered by the row of GET, but for streams.
  Match Find(std::string_view method, const std::vector<std::string>& segments) const;

  const std::vector<HttpRoute>& routes() const { return routes_; }

 private:
  std::vector<HttpRoute> routes_;
  std::vector<std::vector<std::string_view>> templates_;  // Segments; of routes_, one each.
};

}  // namespace lanekeeper::gateway
