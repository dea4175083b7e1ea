#include "operator/jetstream/tenant_line.h"

#include <utility>

#include "operator/jetstream/jetstream_lane_probe.h"
#include "operator/jetstream/jetstream_ledger.h"
#include "operator/jetstream/jetstream_queues.h"

namespace lanekeeper {
namespace {

using std::chrono::milliseconds;

// There may be hundreds of them, and of their servers each may be away for good.
constexpr milliseconds kReconnectWait{1000};
constexpr milliseconds kAnswerTimeout{2000};
constexpr int kTapLanesMax = 100;
constexpr std::size_t kLedgerWaitingMax = 128;

class JetStreamLine final : public TenantLine {
 public:
  JetStreamLine(std::unique_ptr<nats::Connection> connection, const TenantAddress& address,
                const Clock& clock, const TenantLineOptions& options)
      : connection_(std::move(connection)),
        probe_(*connection_, clock,
               {.sample_interval = options.sample_interval, .tap_lanes_max = kTapLanesMax}),
        queues_(*connection_),
        ledger_(*connection_, {.waiting_max = kLedgerWaitingMax,
                               .answer_timeout = kAnswerTimeout,
                               .leadership = options.leadership}),
        board_(*connection_, {.status_json = options.status_json,
                              .only_namespace = address.pool_namespace,
                              .answer_timeout = kAnswerTimeout,
                              .leadership = options.leadership}) {}

  void Start(std::function<void(const LaneKey&)> on_change) {
    probe_.Start(std::move(on_change));
    ledger_.Start();
    board_.Start();
  }
  ~JetStreamLine() override {
    ledger_.Stop();
    board_.Stop();
    probe_.Stop();
  }

  LaneProbe& probe() override { return probe_; }
  Queues& queues() override { return queues_; }
  Ledger& ledger() override { return ledger_; }
  PoolBoard& board() override { return board_; }
  Result<void> Renew(nats::Access access) override { return connection_->Renew(std::move(access)); }
  bool Connected() const override { return connection_->Connected(); }
  std::string LastError() const override { return connection_->LastError(); }
  bool AllTold() const override { return board_.waiting() == 0; }
  void Shut() override { connection_->Close(); }

 private:
  const std::unique_ptr<nats::Connection> connection_;
  JetStreamLaneProbe probe_;
  JetStreamQueues queues_;
  JetStreamLedger ledger_;
  JetStreamPoolBoard board_;
};

}  // namespace

Result<std::unique_ptr<TenantLine>> OpenJetStreamLine(
    const TenantAddress& address, nats::Access access, const Clock& clock,
    const TenantLineOptions& options, std::function<void(const LaneKey&)> on_change) {
  auto connection = nats::Connection::Open({.url = address.url,
                                            .name = options.name,
                                            .access = std::move(access),
                                            .wait_for_first = false,
                                            .reconnect_wait = kReconnectWait,
                                            .shared_delivery = true});
  if (!connection) return tl::unexpected(std::move(connection).error());
  auto line = std::make_unique<JetStreamLine>(*std::move(connection), address, clock, options);
  line->Start(std::move(on_change));
  return std::unique_ptr<TenantLine>(std::move(line));
}

}  // namespace lanekeeper
