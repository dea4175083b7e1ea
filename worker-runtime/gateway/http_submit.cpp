// POST /v1/pools/{namespace}/{pool}/jobs: one job, as an envelope or as a bare payload.
#include <utility>

#include "worker-runtime/gateway/http_api.h"
#include "worker-runtime/gateway/http_bulk.h"
#include "worker-runtime/gateway/http_json.h"
#include "worker-runtime/gateway/http_metrics.h"
#include "worker-runtime/job/codec.h"
#include "worker-runtime/job/names.h"

namespace lanekeeper::gateway {
namespace {

using std::chrono::seconds;

// Headers that say what the envelope says already are refused: one of the two would be ignored.
Answer<Submission> ReadEnvelope(const Exchange& exchange, const std::string& body) {
  for (const std::string_view name : {kHeaderType, kHeaderLane, kHeaderDeadline, kHeaderTimeout}) {
    if (!exchange.Header(std::string(name).c_str()).empty()) {
      return Refuse(ProblemType::kInvalidRequest,
                    std::string(name) +
                        " is for bodies that are the payload itself; an application/json body "
                        "says it in a field");
    }
  }
  Answer<Submission> submission = ParseSubmission(body);
  if (!submission) return submission;
  if (const std::string key = exchange.Header("Idempotency-Key"); !key.empty()) {
    Answer<std::string> parsed = ParseIdempotencyKey(key);
    if (!parsed) return tl::unexpected(std::move(parsed).error());
    if (!submission->idempotency_key.empty() && submission->idempotency_key != *parsed) {
      return Refuse(ProblemType::kInvalidRequest,
                    "Idempotency-Key and the field idempotency_key differ; send one of them");
    }
    submission->idempotency_key = *std::move(parsed);
  }
  if (std::string traceparent = exchange.Header("traceparent"); IsTraceparent(traceparent)) {
    submission->traceparent = std::move(traceparent);
  }
  return submission;
}

// One job from its acceptance to its answer.
struct Handed {
  HttpParts& parts;
  ExchangePtr exchange;
  std::optional<seconds> wait;
  Accepted accepted;

  HttpReply Prepare(int status) const {
    HttpReply reply{.status = status, .headers = {{"Location", JobPath(accepted.id)}}};
    if (accepted.known) reply.headers.emplace_back("Idempotency-Replayed", "true");
    if (wait) reply.headers.emplace_back("Preference-Applied", Applied());
    return reply;
  }
  std::string Applied() const { return "wait=" + std::to_string(wait->count()); }

  void AnswerAccepted(std::optional<ViewState> state) const {
    HttpReply reply = Prepare(202);
    reply.body = WriteAccepted(accepted, state);
    exchange->Reply(std::move(reply));
  }
  void AnswerJob(const JobView& job) const {
    if (!Ended(job.state) || !wait) return AnswerAccepted(job.state);
    HttpReply reply = Prepare(200);
    HttpReply shown = JobReply(job);
    reply.body = std::move(shown.body);
    for (auto& header : shown.headers) reply.headers.push_back(std::move(header));
    exchange->Reply(std::move(reply));
  }
};

void AnswerSubmit(const std::shared_ptr<Handed>& handed) {
  // Who does not wait is not kept waiting for a read of what was stored a moment ago.
  if (!handed->accepted.known && !handed->wait) return handed->AnswerAccepted(ViewState::kWaiting);
  const LaneKey& lane = handed->accepted.lane;
  handed->parts.desk.Find(
      lane.pool_namespace, lane.pool, handed->accepted.id, [handed](Answer<JobView> job) {
        // Stored it is, whatever can be read of it: a lane without records forgets its jobs.
        if (!job) return handed->AnswerAccepted(std::nullopt);
        AwaitEnd(handed->parts, handed->exchange, *job, handed->wait.value_or(seconds(0)),
                 [handed](const JobView& now) { handed->AnswerJob(now); });
      });
}

void SubmitOne(HttpParts& parts, const ExchangePtr& exchange, Answer<Submission> submission) {
  if (!submission) {
    parts.metrics.OnSubmit(HttpMetrics::SubmitResult::kRefused);
    return exchange->Refuse(submission.error());
  }
  const auto wait = ParsePreferWait(exchange->Header("Prefer"));
  if (!wait) return exchange->Refuse(wait.error());
  parts.gateway.Submit(
      exchange->caller(), exchange->pool_namespace(), exchange->pool(), *std::move(submission),
      [&parts, exchange, wait = *wait](Answer<Accepted> accepted) {
        using Result = HttpMetrics::SubmitResult;
        parts.metrics.OnSubmit(!accepted         ? Result::kRefused
                               : accepted->known ? Result::kKnown
                                                 : Result::kAccepted);
        if (!accepted) return exchange->Refuse(accepted.error());
        AnswerSubmit(std::make_shared<Handed>(Handed{parts, exchange, wait, *std::move(accepted)}));
      });
}

void Submit(HttpParts& parts, const ExchangePtr& exchange) {
  const std::string media = MediaTypeOf(exchange->Header("Content-Type"));
  std::string body = exchange->TakeBody();
  if (media == "application/x-ndjson") return SubmitBulk(parts, exchange, std::move(body));
  if (media == "application/json") {
    return SubmitOne(parts, exchange, ReadEnvelope(*exchange, body));
  }
  SubmitOne(parts, exchange, SubmissionFromHeaders(exchange->Headers(), std::move(body)));
}

}  // namespace

void AddSubmitRoutes(HttpRoutes& routes, HttpParts& parts) {
  routes.push_back({.method = "POST",
                    .path = "/v1/pools/{namespace}/{pool}/jobs",
                    .verb = Verb::kCreate,
                    .handler = [&parts](const ExchangePtr& exchange) { Submit(parts, exchange); }});
}

}  // namespace lanekeeper::gateway
