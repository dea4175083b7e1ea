#include "worker-runtime/client/client.h"

#include <algorithm>
#include <array>
#include <random>
#include <span>

#include "worker-runtime/base/percent_encode.h"
#include "worker-runtime/base/stoppable_sleep.h"
#include "worker-runtime/client/call_until.h"
#include "worker-runtime/client/event_stream.h"
#include "worker-runtime/client/http_call.h"
#include "worker-runtime/client/job_json.h"
#include "worker-runtime/client/retry.h"

namespace lanekeeper {
namespace {

using client::HttpReply;
using client::HttpRequest;
using std::chrono::milliseconds;

// Of one bulk request: well below what a gateway takes.
constexpr std::size_t kBulkLinesMax = 500;
constexpr std::size_t kBulkBytesMax = 4 * 1024 * 1024;
// How long a gateway is asked to hold an answer back.
constexpr std::chrono::seconds kPreferWaitMax{20};
constexpr milliseconds kHeldAnswerSlack{10'000};
// A gateway sends heartbeats: a stream that says nothing for so long is dead.
constexpr milliseconds kStreamSilenceMax{45'000};
constexpr std::size_t kEventBytesMax = 4 * 1024 * 1024;

MonotonicTime Now() { return std::chrono::steady_clock::now(); }
milliseconds Left(MonotonicTime deadline) {
  return std::max(milliseconds(0), std::chrono::duration_cast<milliseconds>(deadline - Now()));
}
// Also for deadlines that mean "for ever".
MonotonicTime In(milliseconds time) {
  return Now() + std::clamp<milliseconds>(time, milliseconds(0), std::chrono::hours(24 * 365));
}

// Nobody else makes the same one: 26 letters and digits, from the system's random source.
std::string NewKey() {
  constexpr std::string_view kLetters = "0123456789abcdefghijklmnopqrstuvwxyz";
  std::random_device device;
  std::uniform_int_distribution<std::size_t> letter(0, kLetters.size() - 1);
  std::string key(26, '0');
  for (char& place : key) place = kLetters[letter(device)];
  return key;
}

tl::unexpected<ClientError> Wrapped(ClientError error, const std::string& what) {
  error.message.insert(0, what + ": ");
  return tl::unexpected<ClientError>(std::move(error));
}

ClientError NotEnded(std::string_view id, std::string_view why) {
  return {.kind = ErrorKind::kRetryable,
          .message = "waiting for job " + std::string(id) + ": " + std::string(why),
          .problem = std::string(kNotEnded),
          .status = 0,
          .retry_after = {}};
}

std::string JobsPath(const PoolName& pool) {
  return "/v1/pools/" + PercentEncode(pool.pool_namespace) + "/" + PercentEncode(pool.pool) +
         "/jobs";
}
std::string JobPath(std::string_view id) { return "/v1/jobs/" + PercentEncode(id); }
std::string JobPath(const PoolName& pool, std::string_view id) {
  return JobsPath(pool) + "/" + PercentEncode(id);
}

// A structured-field string: the key in quotes.
std::string QuotedKey(std::string_view key) {
  std::string quoted = "\"";
  for (const char letter : key) {
    if (letter == '"' || letter == '\\') quoted.push_back('\\');
    quoted.push_back(letter);
  }
  return quoted + "\"";
}

}  // namespace

class Client::Impl {
 public:
  Impl(ClientOptions options, std::shared_ptr<client::HttpCaller> http)
      : options_(std::move(options)), http_(std::move(http)) {
    policy_.retries = options_.retries;
  }

  ClientResult<SubmittedJob> Submit(const PoolName& pool, const NewJob& job) {
    const std::string what = "submitting to " + pool.pool_namespace + "/" + pool.pool;
    auto body = client::WriteNewJob(job, "");
    if (!body) return Wrapped(client::NoAnswer(body.error()), what);
    HttpRequest request{.method = "POST",
                        .path = JobsPath(pool),
                        .headers = {},
                        .content_type = "application/json",
                        .body = *std::move(body)};
    const std::string key = KeyOf(job);
    if (!key.empty()) request.headers.emplace_back("Idempotency-Key", QuotedKey(key));
    if (!job.traceparent.empty()) request.headers.emplace_back("traceparent", job.traceparent);
    return Read<SubmittedJob>(Call(request), client::ReadSubmittedJob, what);
  }

  std::vector<ClientResult<SubmittedJob>> SubmitMany(const PoolName& pool,
                                                     const std::vector<NewJob>& jobs);

  ClientResult<JobStatus> Get(std::string_view id) { return Get(JobPath(id), id); }
  ClientResult<JobStatus> Get(const std::string& path, std::string_view id) {
    return Read<JobStatus>(
        Call({.method = "GET", .path = path, .headers = {}, .content_type = {}, .body = {}}),
        client::ReadJobStatus, "reading job " + std::string(id));
  }

  ClientResult<JobStatus> Wait(std::string_view id, milliseconds time);
  // `path`: of the job.
  ClientResult<JobStatus> Watch(const std::string& path, std::string_view id, milliseconds time,
                                const std::function<bool(const JobStatus&)>& changed,
                                const std::stop_token& stop);

  ClientResult<JobStatus> Cancel(std::string_view id) {
    int tries = 0;
    auto cancelled = Read<JobStatus>(Call({.method = "DELETE",
                                           .path = JobPath(id),
                                           .headers = {},
                                           .content_type = {},
                                           .body = {}},
                                          &tries),
                                     client::ReadJobStatus, "cancelling job " + std::string(id));
    // The try whose answer was lost may have done it.
    if (!cancelled && cancelled.error().problem == "job-finished" && tries > 1) {
      auto job = Get(id);
      if (job && job->state == "cancelled") return job;
    }
    return cancelled;
  }

 private:
  struct Line {
    std::size_t job = 0;  // Its place in what the caller gave.
    std::string text;
  };

  std::string KeyOf(const NewJob& job) const {
    if (!job.idempotency_key.empty() || options_.retries == 0) return job.idempotency_key;
    return NewKey();
  }

  // Sends it until an answer is final, the tries are used up or the time of a call is over. What is
  // no success is an error.
  ClientResult<HttpReply> Call(const HttpRequest& request, int* tries = nullptr) {
    return CallUntil(request, In(options_.timeout), options_.try_timeout, tries);
  }
  ClientResult<HttpReply> CallUntil(const HttpRequest& request, MonotonicTime deadline,
                                    milliseconds try_timeout, int* tries = nullptr) {
    return client::CallUntil(*http_, request,
                             {.retry = policy_,
                              .deadline = deadline,
                              .try_timeout = try_timeout,
                              .wait_when_busy = options_.wait_when_busy},
                             tries);
  }

  template <typename T, typename Reader>
  static ClientResult<T> Read(ClientResult<HttpReply> reply, Reader reader,
                              const std::string& what) {
    if (!reply) return Wrapped(std::move(reply).error(), what);
    auto value = reader(reply->body);
    if (!value) return Wrapped(client::NoAnswer(value.error()), what);
    return *std::move(value);
  }

  void SendLines(const PoolName& pool, std::span<const Line> lines, MonotonicTime deadline,
                 std::vector<ClientResult<SubmittedJob>>& results);

  const ClientOptions options_;
  client::RetryPolicy policy_;
  const std::shared_ptr<client::HttpCaller> http_;
};

// One bulk request, and what it said about each line. Lines it said nothing about keep what they
// have.
void Client::Impl::SendLines(const PoolName& pool, std::span<const Line> lines,
                             MonotonicTime deadline,
                             std::vector<ClientResult<SubmittedJob>>& results) {
  HttpRequest request{.method = "POST",
                      .path = JobsPath(pool),
                      .headers = {},
                      .content_type = "application/x-ndjson",
                      .body = {}};
  for (const Line& line : lines) request.body += line.text + "\n";
  const auto reply = http_->Call(request, std::min(deadline, In(options_.try_timeout)));
  if (!reply || reply->status != 200) {
    const ClientError error =
        reply ? client::ReadProblem(reply->status, reply->retry_after, reply->body)
              : client::NoAnswer(reply.error());
    for (const Line& line : lines) results[line.job] = tl::unexpected<ClientError>(error);
    return;
  }
  for (const Line& line : lines) {
    results[line.job] = tl::unexpected<ClientError>({.kind = ErrorKind::kRetryable,
                                                     .message = "the answer says nothing about it",
                                                     .problem = {},
                                                     .status = 0,
                                                     .retry_after = {}});
  }
  for (std::size_t begin = 0; begin < reply->body.size();) {
    const std::size_t end = std::min(reply->body.find('\n', begin), reply->body.size());
    const auto line =
        client::ReadBulkLine(std::string_view(reply->body).substr(begin, end - begin));
    if (line && line->line <= lines.size()) results[lines[line->line - 1].job] = line->result;
    begin = end + 1;
  }
}

std::vector<ClientResult<SubmittedJob>> Client::Impl::SubmitMany(const PoolName& pool,
                                                                 const std::vector<NewJob>& jobs) {
  std::vector<ClientResult<SubmittedJob>> results(jobs.size());
  std::vector<Line> open;
  for (std::size_t n = 0; n < jobs.size(); ++n) {
    auto text = client::WriteNewJob(jobs[n], KeyOf(jobs[n]));
    if (text) {
      open.push_back({n, *std::move(text)});
    } else {
      results[n] = tl::unexpected<ClientError>(client::NoAnswer(text.error()));
    }
  }
  const MonotonicTime deadline = In(options_.timeout);
  for (int tries = 1; !open.empty(); ++tries) {
    for (std::size_t begin = 0; begin < open.size();) {
      std::size_t end = begin;
      for (std::size_t bytes = 0; end < open.size() && end - begin < kBulkLinesMax; ++end) {
        bytes += open[end].text.size() + 1;
        if (bytes > kBulkBytesMax && end > begin) break;
      }
      SendLines(pool, std::span(open).subspan(begin, end - begin), deadline, results);
      begin = end;
    }
    // What is worth another try is tried together, when the one that has to wait longest may be.
    milliseconds wait{0};
    std::erase_if(open, [&](const Line& line) {
      const auto& result = results[line.job];
      if (result || result.error().kind != ErrorKind::kRetryable) return true;
      const auto pause = client::DecideRetry(
          policy_, {.status = result.error().status, .retry_after = result.error().retry_after},
          tries, Left(deadline), client::RandomBits());
      if (pause) wait = std::max(wait, *pause);
      return !pause.has_value();
    });
    if (!open.empty()) SleepUnlessStopped(wait, {});
  }
  const std::string what = "submitting to " + pool.pool_namespace + "/" + pool.pool;
  for (auto& result : results) {
    if (!result) result = Wrapped(std::move(result).error(), what);
  }
  return results;
}

ClientResult<JobStatus> Client::Impl::Wait(std::string_view id, milliseconds time) {
  const MonotonicTime deadline = In(time);
  std::string seen;  // What is known of it so far.
  while (true) {
    const milliseconds left = Left(deadline);
    // Rounded up: an answer that is held back too long is cut off by the deadline.
    auto wait = std::min(std::chrono::ceil<std::chrono::seconds>(left), kPreferWaitMax);
    // But what is said at the end has to be known by then.
    const bool glance = seen.empty() && wait < kPreferWaitMax;
    if (glance) wait = {};
    auto job =
        Read<JobStatus>(CallUntil({.method = "GET",
                                   .path = JobPath(id),
                                   .headers = {{"Prefer", "wait=" + std::to_string(wait.count())}},
                                   .content_type = {},
                                   .body = {}},
                                  deadline, wait + kHeldAnswerSlack),
                        client::ReadJobStatus, "reading it");
    if (job && job->Ended()) return job;
    if (!job && job.error().kind != ErrorKind::kRetryable) {
      return Wrapped(std::move(job).error(), "waiting for job " + std::string(id));
    }
    if (job) {
      seen = "it is " + job->state;
    } else if (seen.empty()) {
      seen = job.error().message;
    }
    if (Left(deadline) == milliseconds(0)) return tl::unexpected<ClientError>(NotEnded(id, seen));
    // A gateway that does not hold answers back is not asked without a pause; nor one that is away.
    if (job && glance) continue;
    SleepUnlessStopped(std::min(Left(deadline), client::RetryPolicy{}.backoff.initial), {});
  }
}

ClientResult<JobStatus> Client::Impl::Watch(const std::string& path, std::string_view id,
                                            milliseconds time,
                                            const std::function<bool(const JobStatus&)>& changed,
                                            const std::stop_token& stop) {
  const MonotonicTime deadline = In(time);
  std::string last_event_id;
  std::optional<JobStatus> last;
  bool over = false;     // It has ended, as the gateway says.
  bool refused = false;  // By `changed`.
  const auto take_event = [&](const client::StreamEvent& event) {
    last_event_id = event.id;
    if (event.type == "end") over = true;
    if (event.type != "job" && event.type != "message") return;
    auto job = client::ReadJobStatus(event.data);
    if (!job) return;
    last = *std::move(job);
    if (!changed(*last)) refused = true;
  };
  for (int failures = 0;;) {
    client::EventStream events(kEventBytesMax);
    HttpRequest request{.method = "GET",
                        .path = path + "/events",
                        .headers = {{"Accept", "text/event-stream"}},
                        .content_type = {},
                        .body = {}};
    if (!last_event_id.empty()) request.headers.emplace_back("Last-Event-ID", last_event_id);
    const auto reply =
        http_->Stream(request, deadline, kStreamSilenceMax, stop, [&](std::string_view bytes) {
          failures = 0;
          const auto complete = events.Add(bytes);
          if (!complete) return false;
          for (const client::StreamEvent& event : *complete) {
            if (!refused && !over) take_event(event);
          }
          return !refused && !over;
        });
    if (last && last->Ended()) return *last;
    if (over) return Get(path, id);  // It had ended before the event this began after.
    if (refused || stop.stop_requested()) {
      return tl::unexpected<ClientError>(NotEnded(id, "the watch was stopped"));
    }
    ClientError error = !reply
                            ? client::NoAnswer(reply.error())
                            : client::ReadProblem(reply->status, reply->retry_after, reply->body);
    const bool streamed = reply && reply->status == 200;
    if (!streamed && error.kind != ErrorKind::kRetryable) {
      return Wrapped(std::move(error), "watching job " + std::string(id));
    }
    milliseconds wait = Jittered(policy_.backoff.After(++failures), client::RandomBits());
    if (error.retry_after) wait += *error.retry_after;
    if (wait >= Left(deadline)) {
      return tl::unexpected<ClientError>(
          NotEnded(id, streamed ? "the deadline is over" : error.message));
    }
    SleepUnlessStopped(wait, stop);
  }
}

Result<std::unique_ptr<Client>> Client::Create(ClientOptions options) {
  auto http = client::MakeHttpCaller({.url = options.url,
                                      .token = options.token,
                                      .token_file = options.token_file,
                                      .ca_file = options.ca_file,
                                      .answer_bytes_max = options.answer_bytes_max});
  if (!http) return tl::unexpected<Error>(std::move(http).error());
  return Create(std::move(options), *std::move(http));
}

Result<std::unique_ptr<Client>> Client::Create(ClientOptions options,
                                               std::shared_ptr<client::HttpCaller> http) {
  if (options.timeout <= milliseconds(0) || options.try_timeout <= milliseconds(0)) {
    return Fail(ErrorKind::kInvalid, "timeout and try_timeout: must be longer than nothing");
  }
  if (options.retries < 0) return Fail(ErrorKind::kInvalid, "retries: must be at least 0");
  return std::unique_ptr<Client>(
      new Client(std::make_unique<Impl>(std::move(options), std::move(http))));
}

Client::Client(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::~Client() = default;

ClientResult<SubmittedJob> Client::Submit(const PoolName& pool, const NewJob& job) {
  return impl_->Submit(pool, job);
}

std::vector<ClientResult<SubmittedJob>> Client::SubmitMany(const PoolName& pool,
                                                           const std::vector<NewJob>& jobs) {
  return impl_->SubmitMany(pool, jobs);
}

ClientResult<JobStatus> Client::Get(std::string_view id) { return impl_->Get(id); }

ClientResult<JobStatus> Client::Wait(std::string_view id, milliseconds deadline) {
  return impl_->Wait(id, deadline);
}

ClientResult<JobStatus> Client::Watch(std::string_view id, milliseconds deadline,
                                      const std::function<bool(const JobStatus&)>& changed,
                                      const std::stop_token& stop) {
  return impl_->Watch(JobPath(id), id, deadline, changed, stop);
}

ClientResult<JobStatus> Client::Watch(const PoolName& pool, std::string_view id,
                                      milliseconds deadline,
                                      const std::function<bool(const JobStatus&)>& changed,
                                      const std::stop_token& stop) {
  return impl_->Watch(JobPath(pool, id), id, deadline, changed, stop);
}

ClientResult<JobStatus> Client::Cancel(std::string_view id) { return impl_->Cancel(id); }

}  // namespace lanekeeper
