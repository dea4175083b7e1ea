#include "cli/workers/worker_text.h"

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace lanekeeper::workers {
namespace {

using cli::SecondsText;
using cli::TextAt;
using nlohmann::json;

// Jobs are known from their records at once, numbers from the worker's last report.
int RunningIn(const json& worker) {
  const auto jobs = static_cast<int>(worker.value("jobs", json::array()).size());
  return std::max(worker.value("running", 0), jobs);
}

std::string OldestText(const json& worker) {
  if (RunningIn(worker) == 0) return "-";
  return SecondsText(worker.value("oldest_running_seconds", std::int64_t{0}));
}

std::string StateText(const json& worker) {
  const std::string state = TextAt(worker, "/state");
  return worker.value("ending", false) ? state + ", ends" : state;
}

std::string JobText(const json& job) {
  std::string text = TextAt(job, "/type");
  if (text == "-") text = TextAt(job, "/id");
  if (const std::string age = cli::AgeAt(job, "/started_at"); age != "-") text += " for " + age;
  if (const auto progress = job.find("progress"); progress != job.end()) {
    char percent[16];
    std::snprintf(percent, sizeof percent, " %.0f%%", 100 * progress->value("fraction", 0.0));
    text += percent;
    if (const std::string note = TextAt(*progress, "/note"); note != "-") text += " (" + note + ")";
  }
  return text;
}

std::string JobIds(const json& worker) {
  std::string ids;
  for (const json& job : worker.value("jobs", json::array())) {
    ids += (ids.empty() ? "" : ", ") + TextAt(job, "/id");
  }
  return ids.empty() ? "-" : ids;
}

}  // namespace

std::string JobsText(const json& worker) {
  const json jobs = worker.value("jobs", json::array());
  if (jobs.empty()) return "-";
  std::string text = JobText(jobs.front());
  if (jobs.size() > 1) text += " and " + std::to_string(jobs.size() - 1) + " more";
  return text;
}

std::vector<cli::Column> WorkerColumns() {
  const auto at = [](const char* pointer) {
    return [pointer](const json& worker) { return TextAt(worker, pointer); };
  };
  return {{"LANE", at("/lane")},
          {"WORKER", at("/worker")},
          {"STATE", StateText},
          {"RUNNING",
           [](const json& worker) {
             return std::to_string(RunningIn(worker)) + "/" + TextAt(worker, "/slots");
           }},
          {"OLDEST", OldestText},
          {"DONE", at("/done")},
          {"FAILED", at("/failed")},
          {"DEAD", at("/dead")},
          {"JOBS", JobsText},
          {"JOB IDS", JobIds, /*wide=*/true}};
}

std::string DrainText(const json& worker) {
  const int running = RunningIn(worker);
  std::string text = "Worker " + TextAt(worker, "/worker") + " takes no more jobs";
  if (running == 0) return text + ". It has none, and is started anew.";
  return text + ". It is started anew when its " +
         (running == 1 ? std::string("running job has")
                       : std::to_string(running) + " running jobs have") +
         " ended.";
}

}  // namespace lanekeeper::workers
