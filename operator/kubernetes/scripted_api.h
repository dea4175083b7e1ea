// An Api whose answers a test writes down in advance, and that writes down what it was asked.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "operator/kubernetes/api.h"
#include "worker-runtime/base/testing/eventually.h"

namespace lanekeeper::kubernetes {

// Any thread.
class ScriptedApi final : public Api {
 public:
  // One watch: the lines it brings and how it ends. Without an end it stays open until it is
  // stopped.
  struct Script {
    std::vector<std::string> lines;
    std::optional<Result<Answer>> end;
  };

  // Answers every request but watches. Lists are empty unless told otherwise, all else is a 404.
  std::function<Result<Answer>(const Request&)> respond = [](const Request&) {
    return Answer{404, R"({"message":"not found"})"};
  };
  // The answer to a list, without it `respond` is asked.
  std::string list_body = R"({"metadata":{"resourceVersion":"1"},"items":[]})";

  // The answer to a list of pods. A watch of them plays what PlayPods brought, so that a platform's
  // two watches do not take each other's lines.
  std::string pods_body = R"({"metadata":{"resourceVersion":"1"},"items":[]})";

  void Play(Script script) { Add(scripts_, std::move(script)); }
  void PlayPods(Script script) { Add(pod_scripts_, std::move(script)); }

  Result<Answer> Exchange(const Request& request, const CallOptions&) override {
    const bool is_list = request.method == "GET" && (EndsWith(request.path, "/workerpools") ||
                                                     EndsWith(request.path, "/deployments"));
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
      changed_.notify_all();
    }
    if (is_list && !list_body.empty()) return Answer{200, list_body};
    if (request.method == "GET" && EndsWith(request.path, "/pods")) return Answer{200, pods_body};
    return respond(request);
  }

  Result<Answer> Stream(const Request& request, std::chrono::milliseconds, const OnLine& on_line,
                        std::stop_token stop) override {
    std::deque<Script>& scripts = EndsWith(request.path, "/pods") ? pod_scripts_ : scripts_;
    Script script;
    {
      std::unique_lock lock(mutex_);
      requests_.push_back(request);
      changed_.notify_all();
      if (!changed_.wait(lock, stop, [&] { return !scripts.empty(); })) return Stopped();
      script = std::move(scripts.front());
      scripts.pop_front();
    }
    for (const std::string& line : script.lines) {
      if (!on_line(line)) return Answer{200, ""};
    }
    if (script.end) return *std::move(script.end);
    std::unique_lock lock(mutex_);
    changed_.wait(lock, stop, [] { return false; });
    return Stopped();
  }

  std::vector<Request> requests() const {
    const std::lock_guard lock(mutex_);
    return requests_;
  }
  // Requests that are no GET, as "METHOD path body".
  std::vector<std::string> writes() const {
    std::vector<std::string> lines;
    for (const Request& request : requests()) {
      if (!IsWrite(request)) continue;
      lines.push_back(request.method + " " + request.path + " " + request.body);
    }
    return lines;
  }
  // False when there are not that many requests after a minute.
  bool WaitForRequests(std::size_t count) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, std::chrono::seconds(60),
                             [&] { return requests_.size() >= count; });
  }

 private:
  static bool EndsWith(const std::string& text, std::string_view end) {
    return text.size() >= end.size() &&
           text.compare(text.size() - end.size(), end.size(), end) == 0;
  }
  void Add(std::deque<Script>& scripts, Script script) {
    const std::lock_guard lock(mutex_);
    scripts.push_back(std::move(script));
    changed_.notify_all();
  }
  static Result<Answer> Stopped() { return Fail(ErrorKind::kRetryable, "stopped"); }

  mutable std::mutex mutex_;
  std::condition_variable_any changed_;
  std::vector<Request> requests_;
  std::deque<Script> scripts_;
  std::deque<Script> pod_scripts_;
};

using lanekeeper::Eventually;

}  // namespace lanekeeper::kubernetes
