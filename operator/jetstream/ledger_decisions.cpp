#include "operator/jetstream/ledger_decisions.h"

#include <algorithm>
#include <string>
#include <utility>

#include "operator/jetstream/jetstream_ledger.h"
#include "operator/scaling/wording.h"
#include "worker-runtime/nats/jetstream.h"

namespace lanekeeper {
namespace {

class LedgerDecisions final : public gateway::DecisionLog {
 public:
  explicit LedgerDecisions(nats::Connection& connection) : jetstream_(connection) {}

  gateway::Answer<std::vector<gateway::Decision>> Last(const LaneKey& lane,
                                                       std::size_t n) override {
    const Result<LedgerPage> page = ReadLedger(jetstream_, lane, n);
    std::vector<gateway::Decision> decisions;
    if (!page && page.error().kind == ErrorKind::kNotFound) return decisions;
    if (!page) {
      return gateway::Refuse(gateway::ProblemType::kQueueUnavailable, page.error().message,
                             std::chrono::seconds(2));
    }
    for (const LedgerEntry& entry : page->entries) decisions.push_back(DecisionOf(entry));
    std::reverse(decisions.begin(), decisions.end());
    return decisions;
  }

 private:
  const nats::JetStream jetstream_;
};

}  // namespace

gateway::Decision DecisionOf(const LedgerEntry& entry) {
  const scaling::ScalingDecision& applied = entry.applied;
  gateway::Decision decision{.time = entry.time,
                             .sentence = entry.sentence,
                             .reason = std::string(scaling::ToString(applied.reason)),
                             .workers_from = entry.observation.workers_current,
                             .workers_to = applied.workers,
                             .observed_only = entry.observed_only,
                             .terms = {}};
  for (const scaling::TermResult& term : applied.terms) {
    decision.terms.push_back({std::string(scaling::ToString(term.term)), term.workers,
                              scaling::DescribeTerm(entry.policy, entry.observation, term)});
  }
  return decision;
}

std::unique_ptr<gateway::DecisionLog> MakeDecisionLog(nats::Connection& connection) {
  return std::make_unique<LedgerDecisions>(connection);
}

}  // namespace lanekeeper
