#include "worker-runtime/gateway/http_json.h"

#include <nlohmann/json.hpp>

#include "worker-runtime/base/percent_encode.h"
#include "worker-runtime/base/text.h"
#include "worker-runtime/gateway/http_problem.h"
#include "worker-runtime/gateway/http_target.h"

namespace lanekeeper::gateway {
namespace {

using OrderedJson = nlohmann::ordered_json;

// Messages of jobs may be no text; JSON carries only text.
std::string Dump(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

double Seconds(std::chrono::milliseconds duration) {
  return static_cast<double>(duration.count()) / 1000.0;
}

std::string PoolPath(const PoolBrief& pool) {
  return "/v1/pools/" + PercentEncode(pool.pool_namespace) + "/" + PercentEncode(pool.pool);
}

OrderedJson AcceptedJson(const Accepted& accepted, std::optional<ViewState> state) {
  const std::string path = JobPath(accepted.id);
  OrderedJson json;
  json["id"] = accepted.id;
  json["namespace"] = accepted.lane.pool_namespace;
  json["pool"] = accepted.lane.pool;
  json["lane"] = accepted.lane.lane;
  if (state) json["state"] = NameOf(*state);
  if (state == ViewState::kWaiting) {
    json["position"] = accepted.position;
    if (accepted.eta) json["eta_seconds"] = accepted.eta->count();
  }
  json["links"] = {{"self", path}, {"events", path + "/events"}};
  return json;
}

OrderedJson LaneJson(const LanePicture& lane) {
  const LaneBrief& brief = *lane.brief;
  OrderedJson json;
  json["name"] = brief.name;
  json["class"] = brief.lane_class;
  json["max_depth"] = brief.depth_max;
  json["tracking"] = NameOf(brief.tracking);
  json["timeout_seconds"] = Seconds(brief.timeout);
  json["external"] = brief.external;
  OrderedJson admission = OrderedJson::object();
  if (brief.admission.wait_max) admission["max_wait_seconds"] = Seconds(*brief.admission.wait_max);
  if (brief.admission.caller_depth_max > 0) {
    admission["max_per_caller"] = brief.admission.caller_depth_max;
  }
  if (!admission.empty()) json["admission"] = std::move(admission);
  if (lane.gauge) {
    OrderedJson gauge{{"depth", lane.gauge->depth},
                      {"waiting", lane.gauge->waiting},
                      {"drained_per_second", lane.gauge->drained_per_second}};
    if (lane.gauge->predicted_wait) {
      gauge["predicted_wait_seconds"] = Seconds(*lane.gauge->predicted_wait);
    }
    json["gauge"] = std::move(gauge);
  }
  if (lane.pause) {
    json["pause"] = {{"until", FormatRfc3339(lane.pause->until)},
                     {"reason", lane.pause->reason},
                     {"by", lane.pause->by}};
  }
  return json;
}

// Leaves out what is empty.
void Put(OrderedJson& json, const char* name, const std::string& value) {
  if (!value.empty()) json[name] = value;
}

// Of a ReportedWorker or a WorkerReport.
template <typename Said>
OrderedJson WorkerJson(std::string_view lane, const std::string& name, const Said& said) {
  OrderedJson json{{"lane", lane}, {"worker", name}, {"state", NameOf(said.state)}};
  if (said.ending) json["ending"] = true;
  json["slots"] = said.slots;
  json["running"] = said.running;
  json["done"] = said.done;
  json["failed"] = said.failed;
  json["dead"] = said.dead;
  json["oldest_running_seconds"] = said.oldest_running.count();
  return json;
}

OrderedJson RunningJobJson(const JobView& job) {
  OrderedJson json{{"id", job.id}};
  Put(json, "type", job.type);
  if (!job.record) return json;
  json["started_at"] = FormatRfc3339(job.record->started_at);
  if (job.record->progress > 0 || !job.record->progress_note.empty()) {
    OrderedJson progress{{"fraction", job.record->progress}};
    Put(progress, "note", job.record->progress_note);
    json["progress"] = std::move(progress);
  }
  return json;
}

OrderedJson DeadJson(const DeadEntry& entry) {
  OrderedJson json;
  json["sequence"] = entry.sequence;
  json["lane"] = entry.lane;
  json["job_id"] = entry.job_id;
  Put(json, "type", entry.type);
  json["payload_bytes"] = entry.payload_bytes;
  json["complete"] = entry.part == DeadPart::kWhole;
  json["reason"] = entry.reason;
  Put(json, "error_class", entry.error_class);
  Put(json, "message", entry.message);
  if (!entry.output.empty()) json["output"] = entry.output;
  json["attempts"] = entry.attempts;
  json["crashes"] = entry.crashes;
  if (entry.first_started_at) json["first_started_at"] = FormatRfc3339(*entry.first_started_at);
  json["died_at"] = FormatRfc3339(entry.died_at);
  Put(json, "worker", entry.worker);
  Put(json, "job_stream", entry.job_stream);
  json["job_sequence"] = entry.job_sequence;
  json["replays"] = entry.replays;
  json["fingerprint"] = Fingerprint(entry);
  return json;
}

}  // namespace

std::string JobPath(std::string_view id) { return "/v1/jobs/" + PercentEncode(id); }

std::string WriteAccepted(const Accepted& accepted, std::optional<ViewState> state) {
  return Dump(AcceptedJson(accepted, state));
}

std::string WriteBulkAccepted(std::size_t line, const Accepted& accepted) {
  OrderedJson json{{"line", line}, {"status", 202}};
  json["job"] = AcceptedJson(
      accepted, accepted.known ? std::optional<ViewState>() : std::optional(ViewState::kWaiting));
  if (accepted.known) json["replayed"] = true;
  return Dump(json);
}

std::string WriteBulkProblem(std::size_t line, const Problem& problem) {
  // Both are JSON of our own making: no need to read one to put it into the other.
  return "{\"line\":" + std::to_string(line) +
         ",\"status\":" + std::to_string(StatusOf(problem.type)) +
         ",\"problem\":" + WriteProblem(problem, {}) + "}";
}

std::string WriteJobList(const JobList& list) {
  std::string json = "{\"jobs\":[";
  for (const JobView& job : list.jobs) {
    if (json.back() != '[') json += ',';
    json += WriteJobView(job);
  }
  json += ']';
  if (!list.next.empty()) json += ",\"next\":" + Dump(OrderedJson(list.next));
  json += '}';
  return json;
}

std::string WritePoolList(const std::vector<std::shared_ptr<const PoolBrief>>& pools) {
  OrderedJson list = OrderedJson::array();
  for (const auto& pool : pools) {
    OrderedJson json{
        {"namespace", pool->pool_namespace}, {"pool", pool->pool}, {"paused", pool->paused}};
    OrderedJson lanes = OrderedJson::array();
    for (const LaneBrief& lane : pool->lanes) lanes.push_back(lane.name);
    json["lanes"] = std::move(lanes);
    json["links"] = {{"self", PoolPath(*pool)}};
    list.push_back(std::move(json));
  }
  return Dump({{"pools", std::move(list)}});
}

std::string WritePool(const PoolBrief& pool, const std::vector<LanePicture>& lanes,
                      const PoolStatusText& status) {
  OrderedJson json{{"namespace", pool.pool_namespace},
                   {"pool", pool.pool},
                   {"paused", pool.paused},
                   {"routing", NameOf(pool.routing)}};
  OrderedJson routes = OrderedJson::array();
  for (const Route& route : pool.routes) {
    routes.push_back({{"type", route.type}, {"lane", route.lane}});
  }
  json["routes"] = std::move(routes);
  OrderedJson pictures = OrderedJson::array();
  for (const LanePicture& lane : lanes) pictures.push_back(LaneJson(lane));
  json["lanes"] = std::move(pictures);
  OrderedJson written = OrderedJson::parse(status.json, nullptr, false);
  if (written.is_object()) {
    json["status"] = std::move(written);
    json["status_at"] = FormatRfc3339(status.written_at);
  }
  json["links"] = {{"self", PoolPath(pool)}};
  return Dump(json);
}

std::string WritePause(std::string_view lane, const LanePause& pause) {
  return Dump({{"lane", lane},
               {"until", FormatRfc3339(pause.until)},
               {"reason", pause.reason},
               {"by", pause.by}});
}

std::string WriteWorkers(const std::vector<WorkerPicture>& workers, bool complete) {
  OrderedJson list = OrderedJson::array();
  for (const WorkerPicture& worker : workers) {
    OrderedJson json = WorkerJson(worker.lane, worker.said.name, worker.said);
    OrderedJson jobs = OrderedJson::array();
    for (const JobView& job : worker.jobs) jobs.push_back(RunningJobJson(job));
    json["jobs"] = std::move(jobs);
    list.push_back(std::move(json));
  }
  return Dump({{"workers", std::move(list)}, {"complete", complete}});
}

std::string WriteWorker(std::string_view lane, const WorkerReport& report) {
  return Dump(WorkerJson(lane, report.worker, report));
}

std::string WriteDecisions(const std::vector<Decision>& decisions) {
  OrderedJson list = OrderedJson::array();
  for (const Decision& decision : decisions) {
    OrderedJson json{{"time", FormatRfc3339(decision.time)},
                     {"sentence", decision.sentence},
                     {"reason", decision.reason},
                     {"workers_from", decision.workers_from},
                     {"workers_to", decision.workers_to}};
    if (decision.observed_only) json["observed_only"] = true;
    OrderedJson terms = OrderedJson::array();
    for (const DecisionTerm& term : decision.terms) {
      terms.push_back({{"term", term.term}, {"workers", term.workers}, {"text", term.text}});
    }
    json["terms"] = std::move(terms);
    list.push_back(std::move(json));
  }
  return Dump({{"decisions", std::move(list)}});
}

std::string WriteDeadList(const std::vector<DeadEntry>& entries, std::uint64_t next) {
  OrderedJson list = OrderedJson::array();
  for (const DeadEntry& entry : entries) list.push_back(DeadJson(entry));
  OrderedJson json{{"dead_letters", std::move(list)}};
  if (next != 0) json["next"] = next;
  return Dump(json);
}

std::string WriteDeadEntry(const DeadEntry& entry, bool payload) {
  OrderedJson json = DeadJson(entry);
  OrderedJson headers = OrderedJson::array();
  for (const auto& [name, value] : entry.headers) {
    headers.push_back({{"name", name}, {"value", value}});
  }
  json["headers"] = std::move(headers);
  if (payload) json["payload_base64"] = EncodeBase64(entry.payload);
  return Dump(json);
}

std::string WriteDeadGroups(const DeadGroups& groups) {
  OrderedJson list = OrderedJson::array();
  for (const DeadGroup& group : groups.groups) {
    OrderedJson json;
    json["fingerprint"] = group.fingerprint;
    Put(json, "type", group.type);
    Put(json, "error_class", group.error_class);
    Put(json, "message", group.message);
    json["count"] = group.count;
    json["oldest"] = FormatRfc3339(group.oldest);
    json["newest"] = FormatRfc3339(group.newest);
    json["example_sequence"] = group.example_sequence;
    json["example_job_id"] = group.example_job_id;
    list.push_back(std::move(json));
  }
  return Dump({{"groups", std::move(list)}, {"rest", groups.rest}});
}

std::string WriteDeadCount(const DeadCount& count) {
  OrderedJson json{{"done", count.done}, {"kept", count.kept}};
  Put(json, "kept_why", count.kept_why);
  json["complete"] = count.complete;
  Put(json, "ended_by", count.ended_by);
  return Dump(json);
}

}  // namespace lanekeeper::gateway
