#include "cli/jobs/job_text.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

namespace lanekeeper::jobs {
namespace {

using cli::AgeAt;
using cli::Column;
using cli::Field;
using cli::TextAt;
using nlohmann::json;

Column At(const std::string& title, const std::string& pointer, bool wide = false) {
  return {title, [pointer](const json& job) { return TextAt(job, pointer); }, wide};
}

// Empty instead of "-": the field is left out.
std::string Given(const json& item, const std::string& pointer) {
  std::string text = TextAt(item, pointer);
  return text == "-" ? std::string() : text;
}

std::string PercentText(double fraction) {
  return std::to_string(std::lround(fraction * 100)) + " %";
}

std::string ProgressText(const json& job) {
  const json::json_pointer place("/progress/fraction");
  std::string text;
  if (job.contains(place) && job[place].is_number()) text = PercentText(job[place].get<double>());
  const std::string note = Given(job, "/progress/note");
  if (!note.empty()) text += (text.empty() ? "" : ", ") + note;
  return text;
}

std::string WithAge(const json& item, const std::string& pointer) {
  const std::string text = Given(item, pointer);
  return text.empty() ? text : text + " (" + AgeAt(item, pointer) + " ago)";
}

std::string SecondsAt(const json& item, const char* field) {
  const auto found = item.find(field);
  if (found == item.end() || !found->is_number()) return "";
  return cli::SecondsText(found->get<std::int64_t>());
}

std::string ResultText(const json& job) {
  const auto found = job.find("result");
  if (found == job.end()) return Given(job, "/result_base64");
  return found->is_string() ? found->get<std::string>() : found->dump();
}

std::string ErrorText(const json& job) {
  const std::string type = Given(job, "/error/class");
  const std::string message = Given(job, "/error/message");
  return type.empty() || message.empty() ? type + message : type + ": " + message;
}

}  // namespace

std::vector<Column> JobColumns(bool with_pool) {
  std::vector<Column> columns{At("ID", "/id")};
  if (with_pool) {
    columns.push_back({"POOL", [](const json& job) {
                         return TextAt(job, "/namespace") + "/" + TextAt(job, "/pool");
                       }});
  }
  columns.push_back(At("LANE", "/lane"));
  columns.push_back(At("TYPE", "/type"));
  columns.push_back(At("STATE", "/state"));
  columns.push_back(At("ATTEMPTS", "/attempts"));
  columns.push_back({"AGE", [](const json& job) { return AgeAt(job, "/submitted_at"); }});
  columns.push_back(At("CRASHES", "/crashes", true));
  columns.push_back({"PROGRESS", ProgressText, true});
  columns.push_back({"ERROR", ErrorText, true});
  return columns;
}

std::vector<Field> JobFields(const json& job) {
  std::string runs;
  if (const auto found = job.find("runs"); found != job.end() && found->is_array()) {
    runs = std::to_string(found->size()) + " (see `lanekeeper jobs logs`)";
  }
  return {{"Id", Given(job, "/id")},
          {"Pool", Given(job, "/namespace") + "/" + Given(job, "/pool")},
          {"Lane", Given(job, "/lane")},
          {"Type", Given(job, "/type")},
          {"State", Given(job, "/state")},
          {"Dead because", Given(job, "/dead/reason")},
          {"Moved to", Given(job, "/moved_to")},
          {"Submitted", WithAge(job, "/submitted_at")},
          {"Jobs before it", Given(job, "/position")},
          {"Starts in about", SecondsAt(job, "eta_seconds")},
          {"Attempts", Given(job, "/attempts")},
          {"Crashes", Given(job, "/crashes")},
          {"Interruptions", Given(job, "/interruptions")},
          {"Runs", runs},
          {"Progress", ProgressText(job)},
          {"Error", ErrorText(job)},
          {"Result", ResultText(job)}};
}

std::string RunText(std::size_t number, const json& run) {
  std::string text = "run " + std::to_string(number) + "  " +
                     (Given(run, "/outcome").empty() ? "running" : Given(run, "/outcome"));
  for (const auto& [word, pointer] :
       {std::pair("worker", "/worker"), std::pair("started", "/started_at"),
        std::pair("ended", "/ended_at")}) {
    if (const std::string said = Given(run, pointer); !said.empty()) {
      text += std::string("  ") + word + " " + said;
    }
  }
  if (const std::string error = Given(run, "/error"); !error.empty()) text += "\n  " + error;
  return text;
}

std::string NoRunsText(const json& job) {
  const std::string error = ErrorText(job);
  return "It has not run, or its lane keeps no records: it is " + TextAt(job, "/state") +
         (error.empty() ? "" : ": " + error) + ".";
}

std::string ChangeLine(const JobStatus& job) {
  std::string line = job.state;
  if (job.state == "waiting" && job.position) {
    line += "  " + std::to_string(*job.position) + " before it";
    if (job.eta) line += "  starts in about " + cli::SecondsText(job.eta->count());
  }
  if (job.attempts > 0) line += "  attempts " + std::to_string(job.attempts);
  if (job.crashes > 0) line += "  crashes " + std::to_string(job.crashes);
  if (job.progress > 0) line += "  " + PercentText(job.progress);
  if (!job.progress_note.empty()) line += "  " + job.progress_note;
  if (!job.dead_reason.empty()) line += "  " + job.dead_reason;
  if (!job.error.empty()) line += "  " + job.error;
  return cli::Printable(line);
}

std::string EndText(const JobStatus& job) {
  std::string text = "job " + job.id + " is " + job.state;
  for (const std::string& part : {job.dead_reason, job.error}) {
    if (!part.empty()) text += ": " + part;
  }
  return text;
}

}  // namespace lanekeeper::jobs
