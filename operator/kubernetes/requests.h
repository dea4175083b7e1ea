// Every request to the API server, as a value. Pure: what goes over the wire can be read in
// requests_test.cpp, and nothing here knows HTTP.
#pragma once

#include <chrono>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "operator/kubernetes/object_names.h"

namespace lanekeeper::kubernetes {

struct Request {
  std::string method;        // GET, POST, PUT, PATCH, DELETE.
  std::string path;          // Percent-encoded, from the root: "/apis/apps/v1/deployments".
  std::string query;         // Percent-encoded, without '?'. May be empty.
  std::string content_type;  // Empty without a body.
  std::string body;
  std::vector<std::pair<std::string, std::string>> headers;  // Besides those of every request.
  bool operator==(const Request&) const = default;
};

// Anything that may change an object: what an idle operator must not send.
inline bool IsWrite(const Request& request) { return request.method != "GET"; }

struct ListOptions {
  std::string only_namespace;  // Empty: all namespaces.
  std::string label_selector;  // Empty: every object.
  int limit = 0;               // Objects per page; 0: all in one.
  std::string continue_token;  // From the page before; empty for the first.
};
Request ListRequest(const Resource& resource, const ListOptions& options);

struct WatchOptions {
  std::string only_namespace;
  std::string label_selector;
  std::string resource_version;       // Changes after this one.
  std::chrono::seconds timeout{120};  // When the server ends the watch.
};
// Asks for bookmarks: without them a quiet watch is left behind by compaction.
Request WatchRequest(const Resource& resource, const WatchOptions& options);

Request GetRequest(const Resource& resource, const ObjectName& name);

// Server-side apply, in the name of kFieldManager, winning over other managers: `manifest` (JSON)
// is the complete wish of Lanekeeper. Creates the object when there is none.
Request ApplyRequest(const Resource& resource, const ObjectName& name, std::string manifest);

// JSON merge patch: null removes, lists are replaced as a whole.
Request MergePatchRequest(const Resource& resource, const ObjectName& name, std::string patch);
Request MergePatchStatusRequest(const Resource& resource, const ObjectName& name,
                                std::string patch);

Request CreateRequest(const Resource& resource, std::string_view object_namespace,
                      std::string object);

// The whole object; its resourceVersion makes it fail (409) when somebody changed it meanwhile.
Request UpdateRequest(const Resource& resource, const ObjectName& name, std::string object);

// Background: the object goes at once, what it owns after it, with the grace it has. Foreground: it
// stays, with a deletionTimestamp, until what it owns is gone.
enum class Propagation { kBackground, kForeground };
// Only the object with this uid, when one is given.
Request DeleteRequest(const Resource& resource, const ObjectName& name, std::string_view uid,
                      Propagation propagation = Propagation::kBackground);

}  // namespace lanekeeper::kubernetes
