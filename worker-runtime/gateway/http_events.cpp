// A job's changes as server-sent events.
#include <charconv>
#include <memory>
#include <mutex>
#include <system_error>
#include <utility>

#include "worker-runtime/gateway/http_api.h"
#include "worker-runtime/gateway/http_transport.h"

namespace lanekeeper::gateway {
namespace {

constexpr std::string_view kHead = "retry: 2000\n\n";
constexpr std::string_view kHeartbeat = ": heartbeat\n\n";

std::string JobEvent(const JobView& job) {
  return "event: job\nid: " + std::to_string(job.revision) + "\ndata: " + WriteJobView(job) +
         "\n\n";
}
std::string EndEvent(const JobView& job) {
  return "event: end\ndata: {\"state\":\"" + std::string(NameOf(job.state)) + "\"}\n\n";
}

// Kept alive by its heartbeat, and by whoever is calling it.
class Feed : public std::enable_shared_from_this<Feed> {
 public:
  explicit Feed(HttpParts& parts) : parts_(parts) {}

  void Start(const ExchangePtr& exchange, const JobView& job, std::uint64_t after) {
    const std::weak_ptr<Feed> weak = weak_from_this();
    // The watch comes first: when it is refused, the answer is still a problem. What it says before
    // the stream is there is kept.
    Answer<std::unique_ptr<JobWatch>> watch =
        parts_.desk.Watch(job, after, [weak](const JobView& now) {
          if (const auto self = weak.lock()) self->Changed(now);
        });
    if (!watch) return exchange->Refuse(watch.error());
    // On the transport's thread, perhaps from inside a write.
    std::shared_ptr<HttpStream> stream = exchange->Stream("text/event-stream", [weak, this] {
      const auto self = weak.lock();
      if (self) parts_.alarms.Soon([self] { self->Finish({}); });
    });
    const HttpLive::Id live = parts_.live.Add([weak] {
      if (const auto self = weak.lock()) self->Finish(": the gateway stops; come again\n\n");
    });
    std::unique_lock lock(mutex_);
    watch_ = *std::move(watch);
    live_ = live;
    if (!over_ && stream && stream->Write(kHead)) {
      stream_ = std::move(stream);
      if (early_) Write(*std::exchange(early_, std::nullopt));
    } else {
      ending_ = true;
    }
    if (!ending_ && !over_) return ScheduleBeat();
    lock.unlock();
    Finish({});
  }

 private:
  void Changed(const JobView& job) {
    {
      const std::lock_guard lock(mutex_);
      if (over_) return;
      if (stream_) {
        Write(job);
      } else {
        early_ = job;  // The last one is enough.
      }
      if (!ending_) return;
    }
    Finish({});
  }

  // With the lock.
  void Write(const JobView& job) {
    if (ending_) return;
    const bool ended = Over(job);
    const bool open = stream_->Write(ended ? JobEvent(job) + EndEvent(job) : JobEvent(job));
    ending_ = ended || !open;
  }

  // With the lock.
  void ScheduleBeat() {
    alarm_ = parts_.alarms.In(parts_.heartbeat, [self = shared_from_this()] { self->Beat(); });
  }

  void Beat() {
    {
      const std::lock_guard lock(mutex_);
      if (over_) return;
      ending_ = ending_ || !stream_->Write(kHeartbeat);
      if (!ending_) return ScheduleBeat();
    }
    Finish({});
  }

  void Finish(std::string_view last_words) {
    std::unique_lock lock(mutex_);
    over_ = true;
    // A second time, what Start had not put down yet when Finish came for the first.
    std::shared_ptr<JobWatch> watch = std::move(watch_);
    const std::shared_ptr<HttpStream> stream = std::move(stream_);
    const Alarms::Id alarm = alarm_;
    const HttpLive::Id live = live_;
    lock.unlock();
    if (stream && !last_words.empty()) stream->Write(last_words);
    if (watch) Drop(std::move(watch));
    parts_.alarms.Cancel(alarm);
    parts_.live.Remove(live);
  }

  // A watch must not end inside its own call.
  void Drop(std::shared_ptr<JobWatch> watch) {
    parts_.alarms.Soon([watch = std::move(watch)]() mutable { watch.reset(); });
  }

  HttpParts& parts_;
  std::mutex mutex_;
  std::shared_ptr<HttpStream> stream_;
  std::shared_ptr<JobWatch> watch_;
  std::optional<JobView> early_;
  bool ending_ = false;  // Nothing more is written; whoever set it calls Finish.
  bool over_ = false;
  Alarms::Id alarm_ = 0;
  HttpLive::Id live_ = 0;
};

Answer<std::uint64_t> ReadAfter(const Exchange& exchange) {
  const std::string header = exchange.Header("Last-Event-ID");
  if (header.empty()) {
    const auto after = NumberOf(exchange, "last_event_id", 0, ~std::uint64_t{0});
    if (!after) return tl::unexpected(after.error());
    return after->value_or(0);
  }
  std::uint64_t after = 0;
  const auto [end, error] = std::from_chars(header.data(), header.data() + header.size(), after);
  if (error != std::errc() || end != header.data() + header.size()) {
    return Refuse(ProblemType::kInvalidRequest,
                  "Last-Event-ID \"" + Excerpt(header) + "\" is not an id of these events");
  }
  return after;
}

void Watch(HttpParts& parts, const ExchangePtr& exchange) {
  const Answer<std::uint64_t> after = ReadAfter(*exchange);
  if (!after) return exchange->Refuse(after.error());
  FindJob(parts, exchange, [&parts, exchange, after = *after](const JobView& job) {
    if (!Over(job)) return std::make_shared<Feed>(parts)->Start(exchange, job, after);
    // Nothing will change any more.
    const auto stream = exchange->Stream("text/event-stream", [] {});
    if (!stream) return;
    std::string bytes(kHead);
    if (job.revision > after || after == 0) bytes += JobEvent(job);
    stream->Write(bytes + EndEvent(job));
  });
}

}  // namespace

void AddEventRoutes(HttpRoutes& routes, HttpParts& parts) {
  for (const auto& [path, access] :
       {std::pair("/v1/jobs/{id}/events", Access::kJob),
        std::pair("/v1/pools/{namespace}/{pool}/jobs/{id}/events", Access::kPool)}) {
    routes.push_back(
        {.method = "GET",
         .path = path,
         .access = access,
         .media = "text/event-stream",
         .query = {"last_event_id"},
         .handler = [&parts](const ExchangePtr& exchange) { Watch(parts, exchange); }});
  }
}

}  // namespace lanekeeper::gateway
