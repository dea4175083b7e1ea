#include "cli/dead/dead_text.h"

#include <charconv>
#include <nlohmann/json.hpp>

namespace lanekeeper::dead {
namespace {

using cli::AgeAt;
using cli::TextAt;
using nlohmann::json;

auto At(const char* pointer) {
  return [pointer](const json& item) { return TextAt(item, pointer); };
}
auto Age(const char* pointer) {
  return [pointer](const json& item) { return AgeAt(item, pointer); };
}

std::string FieldText(const json& letter, const char* pointer) {
  std::string text = TextAt(letter, pointer);
  return text == "-" ? "" : text;
}

std::string LinesOf(const json& letter, const char* field) {
  std::string lines;
  for (const json& line : letter.value(field, json::array())) {
    if (line.is_string()) lines += line.get<std::string>() + "\n";
  }
  return lines;
}

std::string HeadersOf(const json& letter) {
  std::string lines;
  for (const json& header : letter.value("headers", json::array())) {
    lines += TextAt(header, "/name") + ": " + TextAt(header, "/value") + "\n";
  }
  return lines;
}

std::string Letters(std::int64_t count) {
  return std::to_string(count) + (count == 1 ? " dead letter" : " dead letters");
}

}  // namespace

std::vector<cli::Column> LetterColumns() {
  return {{"SEQ", At("/sequence")},
          {"LANE", At("/lane")},
          {"TYPE", At("/type")},
          {"REASON", At("/reason")},
          {"DIED", Age("/died_at")},
          {"ATTEMPTS", At("/attempts")},
          {"ERROR", At("/message")},
          {"GROUP", At("/fingerprint"), /*wide=*/true},
          {"REPLAYS", At("/replays"), /*wide=*/true},
          {"WORKER", At("/worker"), /*wide=*/true},
          {"JOB", At("/job_id"), /*wide=*/true}};
}

std::vector<cli::Column> GroupColumns() {
  return {{"GROUP", At("/fingerprint")},
          {"COUNT", At("/count")},
          {"TYPE", At("/type")},
          {"ERROR", At("/message")},
          {"NEWEST", Age("/newest")},
          {"OLDEST", Age("/oldest")},
          {"EXAMPLE", At("/example_sequence")},
          {"CLASS", At("/error_class"), /*wide=*/true},
          {"JOB", At("/example_job_id"), /*wide=*/true}};
}

std::vector<cli::Field> LetterFields(const json& letter) {
  const auto text = [&letter](const char* pointer) { return FieldText(letter, pointer); };
  return {{"Sequence", text("/sequence")},
          {"Job", text("/job_id")},
          {"Lane", text("/lane")},
          {"Type", text("/type")},
          {"Reason", text("/reason")},
          {"Error", text("/message")},
          {"Error class", text("/error_class")},
          {"Group", text("/fingerprint")},
          {"Attempts", text("/attempts")},
          {"Crashes", text("/crashes")},
          {"Replays", text("/replays")},
          {"First started", text("/first_started_at")},
          {"Died", text("/died_at")},
          {"Worker", text("/worker")},
          {"Payload", text("/payload_bytes") +
                          (letter.value("payload_bytes", 0) == 1 ? " byte" : " bytes") +
                          (letter.value("complete", true) ? "" : ", not complete: no replay")},
          {"Headers", HeadersOf(letter)},
          {"Last output", LinesOf(letter, "output")}};
}

std::optional<std::uint64_t> SequenceOf(std::string_view text) {
  std::uint64_t sequence = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), sequence);
  if (error != std::errc() || end != text.data() + text.size() || sequence == 0) return {};
  return sequence;
}

void Add(Progress& progress, const json& answer) {
  progress.done += answer.value("done", std::int64_t{0});
  // Those that were kept are met again by every call.
  progress.kept = answer.value("kept", std::int64_t{0});
  progress.kept_why = answer.value("kept_why", "");
  progress.ended_by = answer.value("ended_by", "");
  progress.complete = answer.value("complete", true);
}

std::string ProgressText(const Progress& progress, std::string_view done) {
  std::string text =
      Letters(progress.done) + (progress.done == 1 ? " was " : " were ") + std::string(done);
  if (progress.kept > 0) {
    text += "; " + std::to_string(progress.kept) + (progress.kept == 1 ? " is" : " are") +
            " still there: " + progress.kept_why;
  }
  if (!progress.complete) {
    text += "; then it ended" +
            (progress.ended_by.empty() ? std::string() : ": " + progress.ended_by) +
            ". Say it again to go on";
  }
  return text + ".";
}

json ProgressJson(const Progress& progress) {
  json object{{"done", progress.done}, {"kept", progress.kept}, {"complete", progress.complete}};
  if (!progress.kept_why.empty()) object["kept_why"] = progress.kept_why;
  if (!progress.ended_by.empty()) object["ended_by"] = progress.ended_by;
  return object;
}

}  // namespace lanekeeper::dead
