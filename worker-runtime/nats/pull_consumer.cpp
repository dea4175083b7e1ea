#include "worker-runtime/nats/pull_consumer.h"

#include <algorithm>
#include <atomic>
#include <iterator>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

#include "worker-runtime/base/backoff.h"
#include "worker-runtime/base/log.h"
#include "worker-runtime/nats/jetstream.h"
#include "worker-runtime/nats/pull_status.h"

namespace lanekeeper::nats {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// How soon a waiting Fetch sees Interrupt, a lost connection or a lost consumer.
constexpr milliseconds kSlice{50};
// After a lost connection: a message that came longer ago may already run elsewhere (its lease is
// not renewed while it lies here), so it is left to be delivered again.
constexpr std::chrono::seconds kFreshFor{10};
constexpr milliseconds kExpiresMin{1000};
constexpr milliseconds kDiagnoseTimeout{1000};
constexpr milliseconds kRetryWaitInitial{100};

milliseconds LeftUntil(MonotonicTime deadline) {
  return std::max(milliseconds(0), std::chrono::ceil<milliseconds>(deadline - steady_clock::now()));
}

class PullLoop final : public PullConsumer {
 public:
  PullLoop(Connection& connection, std::string stream, std::string consumer, PullOptions options)
      : connection_(connection),
        stream_(std::move(stream)),
        consumer_(std::move(consumer)),
        options_(options),
        next_subject_("$JS.API.CONSUMER.MSG.NEXT." + stream_ + "." + consumer_) {
    changes_ = connection_.OnChange([this](const ConnectionChange& change) {
      if (change.kind != ConnectionChange::Kind::kDenied) return;
      if (change.subject == next_subject_ || change.subject.starts_with("_INBOX.")) denied_ = true;
    });
  }

  Result<std::vector<Delivery>> Fetch(int batch_max, milliseconds timeout) override;
  void Interrupt() override { interrupted_ = true; }
  std::vector<Delivery> Withdraw(milliseconds timeout) override;
  int Requested() const override { return requested_; }
  PullStats Stats() const override {
    const std::lock_guard lock(stats_mutex_);
    return stats_;
  }

 private:
  // One pass over what can be done now; true when it pays to look at the inbox.
  bool KeepAsking(int room);
  Result<void> OpenInbox();
  void Ask(int messages);
  void Receive(Message message);
  void React(const PullStatus& status);
  void CheckSilence();
  bool Diagnose();
  void ForgetPulls();
  // Ends the inbox; `timeout` zero: without telling the server that we wait for its confirmation.
  void CloseInbox(milliseconds timeout);
  void ReadWhatIsHere();
  void GoneWith(Error error);
  std::vector<Delivery> Take(int batch_max);

  Connection& connection_;
  const std::string stream_;
  const std::string consumer_;
  PullOptions options_;
  const std::string next_subject_;
  std::atomic<bool> interrupted_{false};
  std::atomic<bool> denied_{false};
  std::atomic<int> requested_{0};

  std::unique_ptr<Subscription> inbox_;
  std::uint64_t epoch_ = 0;
  std::vector<Delivery> received_;  // Not yet handed out.
  MonotonicTime heard_at_{};        // Last sign of life on the inbox, or when the pull was sent.
  MonotonicTime received_at_{};
  MonotonicTime ask_after_{};  // Paces what would fail again at once.
  int failures_ = 0;
  std::optional<Error> failure_;  // Why nothing can be fetched, until it can.
  bool failure_told_ = false;
  bool disconnected_ = false;  // `failure_` only says so; it ends with the reconnect.
  std::unique_ptr<Registration> changes_;

  mutable std::mutex stats_mutex_;
  PullStats stats_;
};

Result<std::vector<Delivery>> PullLoop::Fetch(int batch_max, milliseconds timeout) {
  const auto deadline = steady_clock::now() + timeout;
  batch_max = std::max(1, batch_max);
  while (true) {
    if (inbox_) ReadWhatIsHere();
    const int room = batch_max - static_cast<int>(std::min<std::size_t>(
                                     received_.size(), static_cast<std::size_t>(batch_max)));
    const bool asking = KeepAsking(room);
    if (!received_.empty()) return Take(batch_max);
    if (interrupted_.exchange(false)) return std::vector<Delivery>();
    if (failure_ && !std::exchange(failure_told_, true)) return tl::unexpected(*failure_);
    const milliseconds left = LeftUntil(deadline);
    if (left == milliseconds(0)) {
      if (failure_) return tl::unexpected(*failure_);
      return std::vector<Delivery>();
    }
    if (asking && inbox_) {
      if (auto message = inbox_->Next(std::min(left, kSlice))) Receive(*std::move(message));
    } else if (!connection_.Connected()) {
      connection_.WaitConnected(std::min(left, kSlice));
    } else {
      std::this_thread::sleep_for(std::min(left, kSlice));
    }
  }
}

bool PullLoop::KeepAsking(int room) {
  if (!connection_.Connected()) {
    // A short gap is the connection's business; it is told when Fetch runs out of time.
    disconnected_ = failure_told_ = true;
    failure_ = Error{ErrorKind::kRetryable, "not connected"};
    return false;
  }
  if (std::exchange(disconnected_, false)) failure_.reset();
  if (inbox_ && connection_.Epoch() != epoch_) {
    // Everything asked for before the reconnect is gone. A fresh inbox, because a request that was
    // still in the write buffer is sent after the reconnect and would ask for too much.
    if (steady_clock::now() - received_at_ > kFreshFor) received_.clear();
    CloseInbox(milliseconds(0));
  }
  CheckSilence();
  if (denied_.exchange(false)) {
    GoneWith({ErrorKind::kForbidden, "not permitted to ask or to be answered"});
  }
  if (steady_clock::now() < ask_after_) return inbox_ != nullptr;
  // Asking where nobody listens would be silence for two heartbeats; the API answers at once.
  if (failure_ && !Diagnose()) return inbox_ != nullptr;
  if (!inbox_) {
    if (auto opened = OpenInbox(); !opened) {
      GoneWith(std::move(opened).error());
      return false;
    }
  }
  // Topping up at half keeps the number of requests down while the slots are busy.
  if (requested_ <= room / 2 && requested_ < room) Ask(room - requested_);
  return true;
}

Result<void> PullLoop::OpenInbox() {
  const std::uint64_t epoch = connection_.Epoch();
  auto made = connection_.Subscribe(connection_.NewInbox());
  if (!made) return tl::unexpected(std::move(made).error());
  inbox_ = *std::move(made);
  epoch_ = epoch;
  requested_ = 0;
  heard_at_ = steady_clock::now();
  return {};
}

void PullLoop::Ask(int messages) {
  messages = std::min(messages, options_.batch_max);
  // By hand: this runs once a job in a lane of one slot.
  const auto nanoseconds = [](milliseconds duration) {
    return std::to_string(std::chrono::nanoseconds(duration).count());
  };
  const std::string request = "{\"batch\":" + std::to_string(messages) +
                              ",\"expires\":" + nanoseconds(options_.expires) +
                              ",\"idle_heartbeat\":" + nanoseconds(options_.idle_heartbeat) + "}";
  const auto sent = connection_.PublishRequest(next_subject_, inbox_->subject(), request);
  if (!sent) {
    GoneWith(sent.error());
    return;
  }
  // An earlier request that went silent must not look alive because of this one.
  if (requested_ == 0) heard_at_ = steady_clock::now();
  requested_ += messages;
  const std::lock_guard lock(stats_mutex_);
  ++stats_.pulls_sent;
}

void PullLoop::ReadWhatIsHere() {
  while (inbox_) {
    auto message = inbox_->Next(milliseconds(0));
    if (!message) return;
    Receive(*std::move(message));
  }
}

void PullLoop::Receive(Message message) {
  heard_at_ = steady_clock::now();
  if (message.reply.empty() && message.status != 0) {
    React(ReadPullStatus(message));
    return;
  }
  auto delivery = ParseDelivery(std::move(message));
  if (!delivery) {
    const std::lock_guard lock(stats_mutex_);
    ++stats_.unreadable;
    return;
  }
  received_.push_back(*std::move(delivery));
  received_at_ = heard_at_;
  requested_ = std::max(0, requested_ - 1);
  failures_ = 0;
  failure_.reset();
}

void PullLoop::React(const PullStatus& status) {
  using Effect = PullStatus::Effect;
  switch (status.effect) {
    case Effect::kAlive:
      failures_ = 0;
      failure_.reset();
      return;
    case Effect::kPartOver:
      requested_ = status.unfilled ? std::max(0, requested_ - *status.unfilled) : 0;
      failures_ = 0;
      failure_.reset();
      return;
    case Effect::kAllOver:
      log::Debug("nats", "pulls_ended", {{"stream", stream_}, {"consumer", consumer_}});
      ForgetPulls();
      return;
    case Effect::kBatchTooLarge:
      options_.batch_max = std::min(options_.batch_max, status.batch_max);
      ForgetPulls();
      return;
    case Effect::kExpiresTooLong:
      options_.expires = std::max(kExpiresMin, options_.expires / 2);
      options_.idle_heartbeat = std::min(options_.idle_heartbeat, options_.expires / 2);
      ForgetPulls();
      return;
    case Effect::kGone:
      ForgetPulls();
      if (status.error.kind == ErrorKind::kNotFound) {
        GoneWith(status.error);
      } else {
        Diagnose();
      }
      return;
    case Effect::kImpossible:
      ForgetPulls();
      GoneWith(status.error);
      return;
  }
}

void PullLoop::CheckSilence() {
  if (!inbox_ || requested_ == 0) return;
  if (steady_clock::now() - heard_at_ <= 2 * options_.idle_heartbeat) return;
  {
    const std::lock_guard lock(stats_mutex_);
    ++stats_.heartbeats_missed;
  }
  // The requests may still live with a server that is only slow: take them back before asking anew.
  CloseInbox(kDiagnoseTimeout);
  Diagnose();
}

// Nobody answers pulls; the API says why. True when the consumer is there: just ask again.
bool PullLoop::Diagnose() {
  const JetStream jetstream(connection_, kDiagnoseTimeout);
  auto info = jetstream.ConsumerInfo(stream_, consumer_);
  if (!info) {
    GoneWith(std::move(info).error().error);
    return false;
  }
  if (!failure_ || failure_->kind != ErrorKind::kInvalid) failure_.reset();
  return true;
}

void PullLoop::GoneWith(Error error) {
  ++failures_;
  const Backoff backoff{.initial = kRetryWaitInitial, .max = options_.retry_wait_max};
  ask_after_ = steady_clock::now() + backoff.After(failures_);
  if (!failure_ || failure_->kind != error.kind) failure_told_ = false;
  error.message.insert(0, "fetching from " + stream_ + "/" + consumer_ + ": ");
  failure_ = std::move(error);
}

void PullLoop::ForgetPulls() { requested_ = 0; }

void PullLoop::CloseInbox(milliseconds timeout) {
  if (!inbox_) return;
  if (timeout > milliseconds(0)) static_cast<void>(inbox_->StopDelivery(timeout));
  // What came before the server understood; statuses no longer matter.
  while (auto message = inbox_->Next(milliseconds(0))) {
    if (auto delivery = ParseDelivery(*std::move(message))) {
      received_.push_back(*std::move(delivery));
      received_at_ = steady_clock::now();
    }
  }
  inbox_.reset();
  ForgetPulls();
}

std::vector<Delivery> PullLoop::Take(int batch_max) {
  const auto count = std::min<std::size_t>(received_.size(), static_cast<std::size_t>(batch_max));
  const auto end = received_.begin() + static_cast<std::ptrdiff_t>(count);
  std::vector<Delivery> taken(std::make_move_iterator(received_.begin()),
                              std::make_move_iterator(end));
  received_.erase(received_.begin(), end);
  return taken;
}

std::vector<Delivery> PullLoop::Withdraw(milliseconds timeout) {
  CloseInbox(std::max(timeout, milliseconds(1)));
  interrupted_ = false;
  return std::exchange(received_, {});
}

}  // namespace

Result<std::unique_ptr<PullConsumer>> PullConsumer::Open(Connection& connection, std::string stream,
                                                         std::string consumer,
                                                         PullOptions options) {
  const auto is_name = [](const std::string& name) {
    return !name.empty() && name.find_first_of(". *>\t\r\n") == std::string::npos;
  };
  if (!is_name(stream)) return Fail(ErrorKind::kInvalid, "stream \"" + stream + "\": not a name");
  if (!is_name(consumer)) {
    return Fail(ErrorKind::kInvalid, "consumer \"" + consumer + "\": not a name");
  }
  if (options.batch_max < 1 || options.idle_heartbeat <= milliseconds(0) ||
      options.expires < 2 * options.idle_heartbeat) {
    return Fail(ErrorKind::kInvalid, "pull options: expires must be at least 2 * idle_heartbeat");
  }
  return std::unique_ptr<PullConsumer>(
      std::make_unique<PullLoop>(connection, std::move(stream), std::move(consumer), options));
}

}  // namespace lanekeeper::nats
