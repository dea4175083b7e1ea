#include "operator/kubernetes/requests.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "worker-runtime/base/percent_encode.h"

namespace lanekeeper::kubernetes {
namespace {

std::string CollectionPath(const Resource& resource, std::string_view object_namespace) {
  std::string path(resource.api_path);
  if (!object_namespace.empty()) path += "/namespaces/" + PercentEncode(object_namespace);
  return path + "/" + std::string(resource.plural);
}

std::string ObjectPath(const Resource& resource, const ObjectName& name) {
  return CollectionPath(resource, name.object_namespace) + "/" + PercentEncode(name.name);
}

// Appends key=value, unless the value is empty.
void AddToQuery(std::string& query, std::string_view key, std::string_view value) {
  if (value.empty()) return;
  if (!query.empty()) query += '&';
  query.append(key).append("=").append(PercentEncode(value));
}

std::string FieldManagerQuery() {
  std::string query;
  AddToQuery(query, "fieldManager", kFieldManager);
  return query;
}

Request Patch(std::string path, std::string query, std::string content_type, std::string body) {
  return {.method = "PATCH",
          .path = std::move(path),
          .query = std::move(query),
          .content_type = std::move(content_type),
          .body = std::move(body)};
}

}  // namespace

Request ListRequest(const Resource& resource, const ListOptions& options) {
  std::string query;
  AddToQuery(query, "labelSelector", options.label_selector);
  if (options.limit > 0) AddToQuery(query, "limit", std::to_string(options.limit));
  AddToQuery(query, "continue", options.continue_token);
  return {.method = "GET",
          .path = CollectionPath(resource, options.only_namespace),
          .query = std::move(query)};
}

Request WatchRequest(const Resource& resource, const WatchOptions& options) {
  std::string query = "watch=true&allowWatchBookmarks=true";
  AddToQuery(query, "labelSelector", options.label_selector);
  AddToQuery(query, "resourceVersion", options.resource_version);
  AddToQuery(query, "timeoutSeconds", std::to_string(options.timeout.count()));
  return {.method = "GET",
          .path = CollectionPath(resource, options.only_namespace),
          .query = std::move(query)};
}

Request GetRequest(const Resource& resource, const ObjectName& name) {
  return {.method = "GET", .path = ObjectPath(resource, name)};
}

Request ApplyRequest(const Resource& resource, const ObjectName& name, std::string manifest) {
  // JSON is YAML, and apply-patch+yaml is understood by every server; apply-patch+json is not.
  return Patch(ObjectPath(resource, name), FieldManagerQuery() + "&force=true",
               "application/apply-patch+yaml", std::move(manifest));
}

Request MergePatchRequest(const Resource& resource, const ObjectName& name, std::string patch) {
  return Patch(ObjectPath(resource, name), FieldManagerQuery(), "application/merge-patch+json",
               std::move(patch));
}

Request MergePatchStatusRequest(const Resource& resource, const ObjectName& name,
                                std::string patch) {
  return Patch(ObjectPath(resource, name) + "/status", FieldManagerQuery(),
               "application/merge-patch+json", std::move(patch));
}

Request CreateRequest(const Resource& resource, std::string_view object_namespace,
                      std::string object) {
  return {.method = "POST",
          .path = CollectionPath(resource, object_namespace),
          .query = FieldManagerQuery(),
          .content_type = "application/json",
          .body = std::move(object)};
}

Request UpdateRequest(const Resource& resource, const ObjectName& name, std::string object) {
  return {.method = "PUT",
          .path = ObjectPath(resource, name),
          .query = FieldManagerQuery(),
          .content_type = "application/json",
          .body = std::move(object)};
}

Request DeleteRequest(const Resource& resource, const ObjectName& name, std::string_view uid,
                      Propagation propagation) {
  nlohmann::json options = {
      {"apiVersion", "v1"},
      {"kind", "DeleteOptions"},
      {"propagationPolicy", propagation == Propagation::kForeground ? "Foreground" : "Background"}};
  if (!uid.empty()) options["preconditions"] = {{"uid", uid}};
  return {.method = "DELETE",
          .path = ObjectPath(resource, name),
          .content_type = "application/json",
          .body = options.dump()};
}

}  // namespace lanekeeper::kubernetes
