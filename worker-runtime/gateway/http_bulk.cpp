#include "worker-runtime/gateway/http_bulk.h"

#include <algorithm>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "worker-runtime/gateway/http_json.h"
#include "worker-runtime/gateway/http_metrics.h"

namespace lanekeeper::gateway {
namespace {

struct Line {
  std::size_t number = 0;  // Counts from 1, empty lines included.
  std::string_view text;
};

std::vector<Line> SplitLines(std::string_view body) {
  std::vector<Line> lines;
  for (std::size_t number = 1; !body.empty(); ++number) {
    const std::size_t end = std::min(body.find('\n'), body.size());
    std::string_view text = body.substr(0, end);
    body.remove_prefix(std::min(end + 1, body.size()));
    if (text.find_first_not_of(" \t\r") != std::string_view::npos) lines.push_back({number, text});
    if (lines.size() > kBulkLinesMax) break;
  }
  return lines;
}

// Keeps at most kBulkInHandMax submissions going, in the order of the lines.
class Bulk : public std::enable_shared_from_this<Bulk> {
 public:
  Bulk(HttpParts& parts, ExchangePtr exchange, std::string body)
      : parts_(parts), exchange_(std::move(exchange)), body_(std::move(body)) {}

  // False: refused.
  bool Read() {
    lines_ = SplitLines(body_);
    if (lines_.empty() || lines_.size() > kBulkLinesMax) {
      exchange_->Refuse(ProblemType::kInvalidRequest,
                        lines_.empty() ? "the body has no line with a job in it"
                                       : "a bulk request takes at most 10000 lines; send several");
      return false;
    }
    results_.resize(lines_.size());
    return true;
  }

  // One thread at a time goes over the lines; another one that comes meanwhile leaves it to that.
  void Pump() {
    std::unique_lock lock(mutex_);
    if (pumping_) return;
    pumping_ = true;
    while (next_ < lines_.size() && in_hand_ < kBulkInHandMax) {
      const std::size_t index = next_++;
      ++in_hand_;
      lock.unlock();
      SubmitLine(index);
      lock.lock();
    }
    pumping_ = false;
    if (next_ < lines_.size() || in_hand_ > 0 || answered_) return;
    answered_ = true;
    lock.unlock();
    Finish();
  }

 private:
  void SubmitLine(std::size_t index) {
    Answer<Submission> submission = ParseSubmission(lines_[index].text);
    if (!submission) return Done(index, tl::unexpected(std::move(submission).error()));
    parts_.gateway.Submit(exchange_->caller(), exchange_->pool_namespace(), exchange_->pool(),
                          *std::move(submission),
                          [self = shared_from_this(), index](Answer<Accepted> accepted) {
                            self->Done(index, accepted);
                          });
  }

  void Done(std::size_t index, const Answer<Accepted>& accepted) {
    using Result = HttpMetrics::SubmitResult;
    const std::size_t number = lines_[index].number;
    if (accepted) {
      parts_.metrics.OnSubmit(accepted->known ? Result::kKnown : Result::kAccepted);
      results_[index] = WriteBulkAccepted(number, *accepted);
    } else {
      parts_.metrics.OnSubmit(Result::kRefused);
      parts_.metrics.OnRefusal(accepted.error().type);
      results_[index] = WriteBulkProblem(number, accepted.error());
    }
    {
      const std::lock_guard lock(mutex_);
      --in_hand_;
    }
    Pump();
  }

  void Finish() {
    std::string body;
    for (std::string& result : results_) {
      body += result;
      body += '\n';
    }
    exchange_->Reply({.body = std::move(body), .media = "application/x-ndjson"});
  }

  HttpParts& parts_;
  const ExchangePtr exchange_;
  const std::string body_;
  std::vector<Line> lines_;           // Views of body_.
  std::vector<std::string> results_;  // Each written by whoever has its line in hand.
  std::mutex mutex_;
  std::size_t next_ = 0;
  std::size_t in_hand_ = 0;
  bool pumping_ = false;
  bool answered_ = false;
};

}  // namespace

void SubmitBulk(HttpParts& parts, const ExchangePtr& exchange, std::string body) {
  if (!exchange->Header("Idempotency-Key").empty()) {
    return exchange->Refuse(
        ProblemType::kInvalidRequest,
        "Idempotency-Key is for one job; give each line its own field idempotency_key");
  }
  const auto bulk = std::make_shared<Bulk>(parts, exchange, std::move(body));
  // Thousands of lines are read and refused on a thread that may take its time.
  RunSlowly(parts, exchange, [bulk](const std::stop_token&) {
    if (bulk->Read()) bulk->Pump();
  });
}

}  // namespace lanekeeper::gateway
