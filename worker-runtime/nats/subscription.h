// The two kinds of subscription behind Connection. Private to this room.
//
// libnats closes a connection for good after two refused logins or an error it does not know; the
// connection then opens a new session and moves its subscriptions over with Attach.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>

#include "worker-runtime/nats/gate.h"
#include "worker-runtime/nats/handles.h"
#include "worker-runtime/nats/subscription_grave.h"

namespace lanekeeper::nats {

class SessionSubscription {
 public:
  virtual ~SessionSubscription() = default;
  // Subscribes on `session`, in place of whatever it was subscribed on before.
  // What it no longer needs goes to `grave`.
  virtual Result<void> Attach(natsConnection* session,
                              const std::shared_ptr<SubscriptionGrave>& grave) = 0;
};

// Any thread may attach while one thread reads.
class ReadSubscription final : public SessionSubscription {
 public:
  ReadSubscription(std::string subject, int capacity);

  Result<void> Attach(natsConnection* session,
                      const std::shared_ptr<SubscriptionGrave>& grave) override;
  std::optional<Message> Next(std::chrono::milliseconds timeout);
  // UNSUB goes out; the caller flushes the connection afterwards.
  Result<void> StopDelivery();
  std::int64_t Dropped() const;
  const std::string& subject() const { return subject_; }

 private:
  SubscriptionHandle Current() const;

  const std::string subject_;
  const int capacity_;
  mutable std::mutex mutex_;
  std::condition_variable attached_;
  SubscriptionHandle current_;
  bool stopped_ = false;
};

class CallbackSubscription final : public SessionSubscription {
 public:
  static std::shared_ptr<CallbackSubscription> Make(std::string subject, MessageHandler handler,
                                                    int capacity, bool once);
  ~CallbackSubscription() override;

  Result<void> Attach(natsConnection* session,
                      const std::shared_ptr<SubscriptionGrave>& grave) override;
  // No handler runs afterwards; unsubscribes.
  void Shut();

 private:
  CallbackSubscription(std::string subject, MessageHandler handler, int capacity, bool once);
  static void OnMessage(natsConnection* session, natsSubscription* subscription, natsMsg* message,
                        void* closure);

  const std::string subject_;
  const MessageHandler handler_;
  const int capacity_;
  const bool once_;
  std::uintptr_t id_ = 0;
  Gate gate_;
  std::mutex mutex_;
  bool shut_ = false;
  bool fired_ = false;
  SubscriptionHandle current_;
};

}  // namespace lanekeeper::nats
