#include "worker-runtime/nats/worker_report_json.h"

#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "worker-runtime/job/codec.h"
#include "worker-runtime/nats/json_text.h"

namespace lanekeeper::nats {
namespace {

using nlohmann::json;

constexpr std::size_t kReportBytesMax = 16 * 1024;
// Types are left out beyond it. With every bucket of `service` in use and no types it is under 5
// KiB.
constexpr std::size_t kTextWithTypesMax = 8192;
constexpr std::size_t kWorkerNameMax = 253;  // A pod's name.
constexpr int kSlotsMax = 100'000;

constexpr std::array kStates{WorkerState::kRunning, WorkerState::kDraining, WorkerState::kDrained,
                             WorkerState::kStopped};

tl::unexpected<Error> Bad(std::string_view field) {
  return Fail(ErrorKind::kInvalid, "worker report: " + std::string(field));
}

// Nothing when it is no whole number or outside min..max.
std::optional<std::int64_t> Integer(const json& number, std::int64_t min, std::int64_t max) {
  if (!number.is_number_integer()) return std::nullopt;
  if (number.is_number_unsigned() &&
      number.get<std::uint64_t>() > static_cast<std::uint64_t>(max)) {
    return std::nullopt;
  }
  const auto value = number.get<std::int64_t>();
  if (value < min || value > max) return std::nullopt;
  return value;
}

// The same for a field; nothing, too, when it is missing.
std::optional<std::int64_t> Integer(const json& object, const char* field, std::int64_t min,
                                    std::int64_t max) {
  const auto found = object.find(field);
  return found == object.end() ? std::nullopt : Integer(*found, min, max);
}

json WriteService(const ServiceCounts& counts) {
  json sparse = json::array();
  for (std::size_t bucket = 0; bucket < counts.size(); ++bucket) {
    if (counts[bucket] > 0) sparse.push_back({bucket, counts[bucket]});
  }
  return sparse;
}

std::optional<ServiceCounts> ReadService(const json& sparse) {
  if (!sparse.is_array()) return std::nullopt;
  ServiceCounts counts{};
  for (const json& pair : sparse) {
    if (!pair.is_array() || pair.size() != 2) return std::nullopt;
    const auto bucket = Integer(pair[0], 0, static_cast<std::int64_t>(counts.size()) - 1);
    const auto count = Integer(pair[1], 1, kJsonIntegerMax);
    if (!bucket || !count) return std::nullopt;
    std::uint64_t& target = counts[static_cast<std::size_t>(*bucket)];
    if (target != 0) return std::nullopt;
    target = static_cast<std::uint64_t>(*count);
  }
  return counts;
}

std::optional<SparseServiceCounts> ReadSparse(const json& sparse) {
  const auto counts = ReadService(sparse);
  if (!counts) return std::nullopt;
  SparseServiceCounts read;
  for (std::size_t bucket = 0; bucket < counts->size(); ++bucket) {
    if ((*counts)[bucket] > 0) {
      read.emplace_back(static_cast<std::uint8_t>(bucket), (*counts)[bucket]);
    }
  }
  return read;
}

std::optional<std::vector<TypeService>> ReadTypes(const json& list) {
  if (!list.is_array() || list.size() > kReportTypesMax) return std::nullopt;
  std::vector<TypeService> types;
  for (const json& entry : list) {
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string()) return std::nullopt;
    const auto& type = entry[0].get_ref<const std::string&>();
    const bool known = std::any_of(types.begin(), types.end(),
                                   [&](const TypeService& read) { return read.type == type; });
    auto service = ReadSparse(entry[1]);
    if (known || type.size() > kJobTypeBytesMax || !service) return std::nullopt;
    types.push_back({type, *std::move(service)});
  }
  return types;
}

// `[["film",[[40,3]]],…]`, as many as fit into `bytes_max`.
std::string WriteTypes(const std::vector<TypeService>& types, std::size_t bytes_max) {
  std::string text;
  for (const TypeService& type : types) {
    const std::string entry = DumpJson(json::array({type.type, type.service}));
    if (text.size() + entry.size() + 2 > bytes_max) break;
    text += (text.empty() ? "[" : ",") + entry;
  }
  return text.empty() ? text : text + ']';
}

}  // namespace

std::string WriteWorkerReport(const WorkerReport& report) {
  json object = {{"v", 1},
                 {"worker", report.worker},
                 {"state", NameOf(report.state)},
                 {"slots", report.slots},
                 {"running", report.running},
                 {"done", report.done},
                 {"failed", report.failed},
                 {"dead", report.dead},
                 {"oldest_running_seconds", report.oldest_running.count()},
                 {"service", WriteService(report.service)}};
  if (report.ending) object["ending"] = true;
  std::string text = DumpJson(object);
  constexpr std::string_view kName = ",\"types\":";
  if (report.types.empty() || text.size() + kName.size() > kTextWithTypesMax) return text;
  const std::string types =
      WriteTypes(report.types, kTextWithTypesMax - text.size() - kName.size());
  if (types.empty()) return text;
  text.pop_back();
  return text.append(kName).append(types).append(1, '}');
}

Result<WorkerReport> ReadWorkerReport(std::string_view text) {
  if (text.size() > kReportBytesMax) return Bad("more than 16 KiB");
  const json object = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return Bad("not a JSON object");
  WorkerReport report;

  const auto worker = object.find("worker");
  if (worker == object.end() || !worker->is_string()) return Bad("worker");
  report.worker = worker->get_ref<const std::string&>();
  if (report.worker.empty() || report.worker.size() > kWorkerNameMax) return Bad("worker");

  const auto state = object.find("state");
  if (state == object.end() || !state->is_string()) return Bad("state");
  bool known = false;
  for (const WorkerState each : kStates) {
    if (state->get_ref<const std::string&>() != NameOf(each)) continue;
    report.state = each;
    known = true;
  }
  if (!known) return Bad("state");

  if (const auto ending = object.find("ending"); ending != object.end()) {
    if (!ending->is_boolean()) return Bad("ending");
    report.ending = ending->get<bool>();
  }
  const auto slots = Integer(object, "slots", 1, kSlotsMax);
  if (!slots) return Bad("slots");
  report.slots = static_cast<int>(*slots);
  const auto running = Integer(object, "running", 0, *slots);
  if (!running) return Bad("running");
  report.running = static_cast<int>(*running);

  std::int64_t oldest_running = 0;
  for (const auto& [field, target] : {std::pair{"done", &report.done},
                                      {"failed", &report.failed},
                                      {"dead", &report.dead},
                                      {"oldest_running_seconds", &oldest_running}}) {
    if (!object.contains(field)) continue;  // Older workers do not say it.
    const auto count = Integer(object, field, 0, kJsonIntegerMax);
    if (!count) return Bad(field);
    *target = *count;
  }
  report.oldest_running = std::chrono::seconds(oldest_running);
  if (const auto service = object.find("service"); service != object.end()) {
    const auto counts = ReadService(*service);
    if (!counts) return Bad("service");
    report.service = *counts;
  }
  if (const auto types = object.find("types"); types != object.end()) {
    auto read = ReadTypes(*types);
    if (!read) return Bad("types");
    report.types = *std::move(read);
  }
  return report;
}

}  // namespace lanekeeper::nats
