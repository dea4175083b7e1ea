// A list that is kept up to date by a watch, as a state machine without I/O, clock or thread:
//
//   list (page by page) ──▶ watch from its resourceVersion ──▶ ended: watch again from the last one
//     ▲                                                   └──▶ 410 gone, or too quiet: list again
//     └── failures: wait 100 ms … 30 s, then go on; after kWatchFailuresMax in a row, list again
//
// WatchLoop asks NextStep what to do, does it, and says how it went; watch_state_test.cpp does the
// same with scripted answers. Not thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "operator/kubernetes/api.h"
#include "operator/kubernetes/object_names.h"
#include "worker-runtime/base/backoff.h"

namespace lanekeeper::kubernetes {

// What to keep an eye on.
struct WatchTarget {
  Resource resource;
  std::string only_namespace;  // Empty: all namespaces.
  std::string label_selector;  // Empty: every object.
  // Objects per page of a list. While it is read, a page takes ten times its length, and at the
  // start three kinds are listed at once.
  int page_objects = 100;
  std::chrono::seconds timeout{120};  // After which the server ends a watch.
};

// Called by the thread that drives the state. An object is reported when it is new or changed since
// it was reported last, whether a watch or a list told of it.
struct WatchCallbacks {
  std::function<void(const nlohmann::json& object)> on_object;
  // `resource_version`: of the deletion, or of the list the object was missing from.
  std::function<void(const ObjectName& name, const std::string& resource_version)> on_gone;
  // After the first list, and the first one after a Relist: everything that existed was reported.
  std::function<void()> on_synced;
  // Optional, after every complete list: all the objects there are. For those who also know of
  // objects from elsewhere.
  std::function<void(const std::set<ObjectName>& names, const std::string& resource_version)>
      on_listed;
};

class WatchState {
 public:
  static constexpr int kWatchFailuresMax = 5;
  // Watches in a row that brought not even a bookmark. A server that was restored from a backup
  // says nothing, for as long as its versions are behind the one we know.
  static constexpr int kQuietWatchesMax = 2;
  static constexpr Backoff kBackoff{std::chrono::milliseconds(100), std::chrono::seconds(30)};

  struct Step {
    std::chrono::milliseconds delay{0};  // Wait this long first. Without jitter.
    bool is_watch = false;               // Stream the request, else call it.
    Request request;
  };

  WatchState(WatchTarget target, WatchCallbacks callbacks);

  Step NextStep();
  void OnListAnswer(const Result<Answer>& answer);
  // False: this stream is of no more use; end it.
  bool OnLine(std::string_view line);
  void OnStreamEnd(const Result<Answer>& answer, std::chrono::milliseconds lasted);

  // As if nothing were known: lists at once, and calls on_synced again. What is known already is
  // not reported again.
  void Relist();

  bool synced() const { return synced_; }
  int failures() const { return failures_; }               // In a row.
  const Error& last_error() const { return last_error_; }  // Of the last failure.

 private:
  void OnPage(const nlohmann::json& page);
  void FinishList(const std::string& resource_version);
  bool OnErrorEvent(const nlohmann::json& status);
  void Report(const nlohmann::json& object);
  void ListAgain();
  void Failed(Error error, std::optional<std::chrono::seconds> retry_after = {});

  const WatchTarget target_;
  const WatchCallbacks callbacks_;

  bool listing_ = true;
  std::string continue_token_;
  std::set<ObjectName> listed_;              // In the pages so far.
  std::string resource_version_;             // To watch from.
  std::map<ObjectName, std::string> known_;  // What was reported, at which resourceVersion.
  bool synced_ = false;

  bool line_seen_ = false;      // In this stream.
  bool stream_failed_ = false;  // OnLine has said so already.
  int quiet_watches_ = 0;
  int failures_ = 0;
  std::chrono::milliseconds delay_{0};
  Error last_error_;
};

}  // namespace lanekeeper::kubernetes
