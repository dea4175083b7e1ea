#include "worker-runtime/nats/subscription.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "worker-runtime/nats/callback_ids.h"

namespace lanekeeper::nats {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Of one callback subscription: what strangers may make this process keep.
constexpr int kCallbackBytesMax = 64 << 20;
constexpr int kUnlimited = -1;

CallbackIds<CallbackSubscription>& SubscriptionIds() {
  static auto& ids = *new CallbackIds<CallbackSubscription>();  // Outlives libnats' threads.
  return ids;
}

SubscriptionHandle Own(natsSubscription* raw, const std::shared_ptr<SubscriptionGrave>& grave) {
  return {raw, [grave](natsSubscription* subscription) { grave->Bury(subscription); }};
}

}  // namespace

ReadSubscription::ReadSubscription(std::string subject, int capacity)
    : subject_(std::move(subject)), capacity_(std::max(1, capacity)) {}

Result<void> ReadSubscription::Attach(natsConnection* session,
                                      const std::shared_ptr<SubscriptionGrave>& grave) {
  natsSubscription* raw = nullptr;
  const natsStatus status = natsConnection_SubscribeSync(&raw, session, subject_.c_str());
  if (status != NATS_OK) return tl::unexpected(ToError(status, "subscribing to " + subject_));
  const SubscriptionHandle made = Own(raw, grave);
  natsSubscription_SetPendingLimits(made.get(), capacity_, kUnlimited);
  SubscriptionHandle before;  // Destroyed after the lock.
  {
    const std::lock_guard lock(mutex_);
    if (stopped_) return {};
    before = std::exchange(current_, made);
  }
  attached_.notify_all();
  return {};
}

SubscriptionHandle ReadSubscription::Current() const {
  const std::lock_guard lock(mutex_);
  return current_;
}

std::optional<Message> ReadSubscription::Next(milliseconds timeout) {
  // Without a look at the clock when nothing is waited for: that is how a queue is emptied.
  const bool waits = timeout > milliseconds(0);
  const auto deadline = waits ? steady_clock::now() + timeout : steady_clock::time_point::min();
  while (true) {
    const auto left =
        waits ? std::max(milliseconds(0),
                         std::chrono::ceil<milliseconds>(deadline - steady_clock::now()))
              : timeout;
    const SubscriptionHandle current = Current();
    MessageHandle message;
    natsStatus status = NATS_INVALID_SUBSCRIPTION;
    if (current) {
      status = natsSubscription_NextMsg(OutParam(message), current.get(), left.count());
    }
    if (status == NATS_OK) return ToMessage(message.get());
    if (status == NATS_TIMEOUT) return std::nullopt;
    if (status == NATS_SLOW_CONSUMER) continue;  // Said once; what was kept follows.
    // The session is closed: wait for the next one.
    std::unique_lock lock(mutex_);
    if (stopped_) return std::nullopt;
    if (!attached_.wait_until(lock, deadline, [&] { return current_ != current; })) {
      return std::nullopt;
    }
  }
}

Result<void> ReadSubscription::StopDelivery() {
  SubscriptionHandle current;
  {
    const std::lock_guard lock(mutex_);
    stopped_ = true;
    current = current_;
  }
  if (!current) return {};
  const natsStatus status = natsSubscription_Drain(current.get());
  if (status != NATS_OK) return tl::unexpected(ToError(status, "unsubscribing " + subject_));
  return {};
}

std::int64_t ReadSubscription::Dropped() const {
  const SubscriptionHandle current = Current();
  std::int64_t dropped = 0;
  if (!current || natsSubscription_GetDropped(current.get(), &dropped) != NATS_OK) return 0;
  return dropped;
}

CallbackSubscription::CallbackSubscription(std::string subject, MessageHandler handler,
                                           int capacity, bool once)
    : subject_(std::move(subject)),
      handler_(std::move(handler)),
      capacity_(std::max(1, capacity)),
      once_(once) {}

std::shared_ptr<CallbackSubscription> CallbackSubscription::Make(std::string subject,
                                                                 MessageHandler handler,
                                                                 int capacity, bool once) {
  const std::shared_ptr<CallbackSubscription> made(
      new CallbackSubscription(std::move(subject), std::move(handler), capacity, once));
  made->id_ = SubscriptionIds().Add(made);
  return made;
}

CallbackSubscription::~CallbackSubscription() { SubscriptionIds().Remove(id_); }

Result<void> CallbackSubscription::Attach(natsConnection* session,
                                          const std::shared_ptr<SubscriptionGrave>& grave) {
  SubscriptionHandle made;
  SubscriptionHandle before;
  const std::lock_guard lock(mutex_);
  if (shut_ || fired_) return {};
  natsSubscription* raw = nullptr;
  const natsStatus status =
      natsConnection_Subscribe(&raw, session, subject_.c_str(), &CallbackSubscription::OnMessage,
                               CallbackIds<CallbackSubscription>::ToClosure(id_));
  if (status != NATS_OK) return tl::unexpected(ToError(status, "subscribing to " + subject_));
  made = Own(raw, grave);
  natsSubscription_SetPendingLimits(made.get(), capacity_, kCallbackBytesMax);
  if (once_) natsSubscription_AutoUnsubscribe(made.get(), 1);
  before = std::exchange(current_, made);
  return {};
}

void CallbackSubscription::Shut() {
  SubscriptionIds().Remove(id_);
  gate_.Shut();
  SubscriptionHandle current;
  {
    const std::lock_guard lock(mutex_);
    shut_ = true;
    current = std::exchange(current_, nullptr);
  }
}

void CallbackSubscription::OnMessage(natsConnection* /*session*/,
                                     natsSubscription* /*subscription*/, natsMsg* message,
                                     void* closure) {
  MessageHandle owned(message);
  const std::shared_ptr<CallbackSubscription> self = SubscriptionIds().Find(closure);
  if (!self) return;
  self->gate_.Run([&] {
    if (self->once_) {
      const std::lock_guard lock(self->mutex_);
      if (std::exchange(self->fired_, true)) return;
    }
    self->handler_(ToMessage(owned.get()));
  });
}

}  // namespace lanekeeper::nats
