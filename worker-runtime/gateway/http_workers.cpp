// Workers: who runs what for how long, and draining one.
#include <algorithm>
#include <map>
#include <utility>

#include "worker-runtime/base/log.h"
#include "worker-runtime/gateway/find_pool.h"
#include "worker-runtime/gateway/http_api.h"
#include "worker-runtime/gateway/http_json.h"
#include "worker-runtime/gateway/worker_desk.h"

namespace lanekeeper::gateway {
namespace {

constexpr std::size_t kListPage = 500;
// Running jobs that were claimed long ago stand behind all that changed since; each look goes
// through some thousands.
constexpr int kListsMax = 8;
constexpr std::chrono::seconds kListTimeMax{8};
// Between a worker's start of a job and its record, and between our clock and that of the queue.
constexpr std::chrono::seconds kClocksApartMax{60};
constexpr std::size_t kWorkerNameMax = 253;

using Lanes = std::vector<const LaneBrief*>;
using Workers = std::vector<WorkerPicture>;

// By lane and name.
Workers ReportedOn(const WorkerDesk* desk, const PoolBrief& pool, const Lanes& lanes) {
  Workers workers;
  if (desk == nullptr) return workers;
  const MonotonicTime now = std::chrono::steady_clock::now();
  for (const LaneBrief* lane : lanes) {
    for (ReportedWorker& said : desk->Workers(pool.KeyOf(*lane))) {
      const auto since = std::chrono::duration_cast<std::chrono::seconds>(now - said.heard_at);
      if (said.running > 0) said.oldest_running += since;
      workers.push_back({.lane = lane->name, .said = std::move(said), .jobs = {}});
    }
  }
  return workers;
}

// Jobs that the workers say they run and whose start is written down.
std::size_t JobsToFind(const PoolBrief& pool, const Workers& workers) {
  std::size_t jobs = 0;
  for (const WorkerPicture& worker : workers) {
    const LaneBrief* lane = pool.FindLane(worker.lane);
    if (lane == nullptr || lane->tracking != Tracking::kFull) continue;
    jobs += static_cast<std::size_t>(worker.said.running);
  }
  return jobs;
}

// A record of a job that runs was changed when it was claimed, or later: what changed before the
// one that has run longest began is none.
WallTime ClaimedSince(const Workers& workers) {
  std::chrono::seconds oldest{0};
  for (const WorkerPicture& worker : workers) oldest = std::max(oldest, worker.said.oldest_running);
  return std::chrono::system_clock::now() - oldest - kClocksApartMax;
}

// Gives the workers the jobs that the records say they run. False: some may be missing.
Answer<bool> AddJobs(JobDesk& desk, const PoolBrief& pool, JobListQuery query, Workers& workers,
                     const std::stop_token& stop) {
  std::map<std::pair<std::string, std::string>, WorkerPicture*> by_name;
  for (WorkerPicture& worker : workers) by_name[{worker.lane, worker.said.name}] = &worker;
  std::size_t missing = JobsToFind(pool, workers);
  query.state = ViewState::kRunning;
  query.limit = kListPage;
  query.since = ClaimedSince(workers);
  const auto end = std::chrono::steady_clock::now() + kListTimeMax;
  for (int n = 0; n < kListsMax && missing > 0; ++n) {
    Answer<JobList> list = desk.List(pool, query);
    if (!list) return tl::unexpected(std::move(list).error());
    for (JobView& job : list->jobs) {
      if (!job.record) continue;
      const auto found = by_name.find({job.lane.lane, job.record->worker});
      if (found == by_name.end()) continue;
      found->second->jobs.push_back(std::move(job));
      if (missing > 0) --missing;
    }
    if (list->next.empty()) return true;
    query.cursor = list->next;
    if (stop.stop_requested() || std::chrono::steady_clock::now() >= end) break;
  }
  return missing == 0;
}

// The one that has run longest first.
void SortJobs(WorkerPicture& worker) {
  std::sort(worker.jobs.begin(), worker.jobs.end(), [](const JobView& a, const JobView& b) {
    return a.record->started_at < b.record->started_at;
  });
}

void ListWorkers(HttpParts& parts, const ExchangePtr& exchange) {
  const auto pool = FindPool(parts, exchange);
  if (!pool) return;
  const std::string* only = exchange->Query("lane");
  if (only != nullptr && pool->FindLane(*only) == nullptr) {
    return exchange->Refuse(NoSuchLane(*pool, *only));
  }
  RunSlowly(parts, exchange,
            [&parts, exchange, pool,
             only = only != nullptr ? *only : std::string()](const std::stop_token& stop) {
              Lanes lanes;
              for (const LaneBrief& lane : pool->lanes) {
                if (only.empty() || lane.name == only) lanes.push_back(&lane);
              }
              Workers workers = ReportedOn(parts.workers, *pool, lanes);
              JobListQuery query;
              if (!only.empty()) query.lane = only;
              const Answer<bool> complete =
                  AddJobs(parts.desk, *pool, std::move(query), workers, stop);
              if (!complete) return exchange->Refuse(complete.error());
              for (WorkerPicture& worker : workers) SortJobs(worker);
              exchange->Reply({.body = WriteWorkers(workers, *complete)});
            });
}

void DrainWorker(HttpParts& parts, const ExchangePtr& exchange) {
  const std::optional<LaneKey> lane = FindLane(parts, exchange);
  if (!lane) return;
  const std::string& worker = exchange->Param("worker");
  if (worker.size() > kWorkerNameMax) {
    return exchange->Refuse(ProblemType::kInvalidRequest, "a worker's name has at most 253 bytes");
  }
  if (parts.workers == nullptr) {
    return exchange->Refuse(ProblemType::kWorkerNotFound, "this gateway knows of no workers");
  }
  RunSlowly(parts, exchange, [&parts, exchange, lane = *lane, worker](const std::stop_token&) {
    const Answer<WorkerReport> report = parts.workers->End(lane, worker);
    if (!report) return exchange->Refuse(report.error());
    log::Info("http", "worker_drained",
              {{"request", exchange->request_id()},
               {"lane", ToString(lane)},
               {"worker", report->worker},
               {"by", exchange->caller()}});
    exchange->Reply({.status = 202, .body = WriteWorker(lane.lane, *report)});
  });
}

}  // namespace

void AddWorkerRoutes(HttpRoutes& routes, HttpParts& parts) {
  routes.push_back(
      {.method = "GET",
       .path = "/v1/pools/{namespace}/{pool}/workers",
       .media = "application/json",
       .query = {"lane"},
       .handler = [&parts](const ExchangePtr& exchange) { ListWorkers(parts, exchange); }});
  routes.push_back(
      {.method = "POST",
       .path = "/v1/pools/{namespace}/{pool}/lanes/{lane}/workers/{worker}/drain",
       .verb = Verb::kUpdate,
       .handler = [&parts](const ExchangePtr& exchange) { DrainWorker(parts, exchange); }});
}

}  // namespace lanekeeper::gateway
