#include "worker-runtime/nats/connection.h"

#include <utility>

#include "worker-runtime/job/job.h"
#include "worker-runtime/nats/connection_impl.h"

namespace lanekeeper::nats {
std::optional<std::string_view> Message::Header(std::string_view name) const {
  return FindHeader(headers, name);
}

// The handles given out keep the connection's inner half alive, so that they may outlive it.
class Connection::ReadHandle final : public Subscription {
 public:
  ReadHandle(std::shared_ptr<Impl> impl, std::shared_ptr<ReadSubscription> inner)
      : impl_(std::move(impl)), inner_(std::move(inner)) {}

  std::optional<Message> Next(std::chrono::milliseconds timeout) override {
    return inner_->Next(timeout);
  }
  const std::string& subject() const override { return inner_->subject(); }
  Result<void> StopDelivery(std::chrono::milliseconds timeout) override {
    if (auto stopped = inner_->StopDelivery(); !stopped) return stopped;
    return impl_->Flush(timeout);
  }
  std::int64_t Dropped() const override { return inner_->Dropped(); }

 private:
  std::shared_ptr<Impl> impl_;
  std::shared_ptr<ReadSubscription> inner_;
};

class Connection::CallbackHandle final : public Registration {
 public:
  explicit CallbackHandle(std::shared_ptr<CallbackSubscription> inner) : inner_(std::move(inner)) {}
  ~CallbackHandle() override { inner_->Shut(); }

 private:
  std::shared_ptr<CallbackSubscription> inner_;
};

class Connection::ListenerHandle final : public Registration {
 public:
  explicit ListenerHandle(std::shared_ptr<Impl::Listener> inner) : inner_(std::move(inner)) {}
  ~ListenerHandle() override { inner_->gate.Shut(); }

 private:
  std::shared_ptr<Impl::Listener> inner_;
};

Result<std::unique_ptr<Connection>> Connection::Open(ConnectOptions options) {
  auto impl = std::make_shared<Impl>(std::move(options));
  if (auto started = impl->Start(); !started) {
    return Wrap(std::move(started).error(), "connecting to NATS");
  }
  return std::unique_ptr<Connection>(new Connection(std::move(impl)));
}

Connection::Connection(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Connection::~Connection() { Close(); }

bool Connection::Connected() const { return impl_->Connected(); }
Result<void> Connection::Renew(Access access) { return impl_->Renew(std::move(access)); }
bool Connection::WaitConnected(std::chrono::milliseconds timeout) const {
  return impl_->WaitConnected(timeout);
}
std::uint64_t Connection::Epoch() const { return impl_->Epoch(); }
std::string Connection::LastError() const { return impl_->LastError(); }
std::int64_t Connection::SlowConsumerCount() const { return impl_->SlowConsumerCount(); }
std::int64_t Connection::MaxPayload() const { return impl_->MaxPayload(); }

std::unique_ptr<Registration> Connection::OnChange(ChangeHandler handler) {
  auto listener = std::make_shared<Impl::Listener>(std::move(handler));
  impl_->AddListener(listener);
  return std::make_unique<ListenerHandle>(std::move(listener));
}

Result<void> Connection::Publish(std::string_view subject, std::string_view payload,
                                 const Headers& headers) {
  return impl_->Publish(subject, {}, payload, headers);
}

Result<void> Connection::PublishRequest(std::string_view subject, std::string_view reply,
                                        std::string_view payload, const Headers& headers) {
  return impl_->Publish(subject, reply, payload, headers);
}

Result<Message> Connection::Request(std::string_view subject, std::string_view payload,
                                    const Headers& headers, std::chrono::milliseconds timeout) {
  return impl_->Request(subject, payload, headers, timeout);
}

void Connection::RequestAsync(std::string_view subject, std::string_view payload,
                              const Headers& headers, std::chrono::milliseconds timeout,
                              AnswerHandler handler) {
  impl_->RequestAsync(subject, payload, headers, timeout, std::move(handler));
}

Result<std::unique_ptr<Subscription>> Connection::Subscribe(std::string_view subject,
                                                            int capacity) {
  auto made = std::make_shared<ReadSubscription>(std::string(subject), capacity);
  if (auto adopted = impl_->Adopt(made); !adopted) {
    return tl::unexpected(std::move(adopted).error());
  }
  return std::unique_ptr<Subscription>(std::make_unique<ReadHandle>(impl_, std::move(made)));
}

Result<std::unique_ptr<Registration>> Connection::SubscribeCallback(std::string_view subject,
                                                                    MessageHandler handler,
                                                                    int capacity) {
  auto made = CallbackSubscription::Make(std::string(subject), std::move(handler), capacity,
                                         /*once=*/false);
  if (auto adopted = impl_->Adopt(made); !adopted) {
    return tl::unexpected(std::move(adopted).error());
  }
  return std::unique_ptr<Registration>(std::make_unique<CallbackHandle>(std::move(made)));
}

Result<std::unique_ptr<Registration>> Connection::SubscribeOnce(std::string_view subject,
                                                                MessageHandler handler) {
  auto made = CallbackSubscription::Make(std::string(subject), std::move(handler), /*capacity=*/16,
                                         /*once=*/true);
  if (auto adopted = impl_->Adopt(made); !adopted) {
    return tl::unexpected(std::move(adopted).error());
  }
  return std::unique_ptr<Registration>(std::make_unique<CallbackHandle>(std::move(made)));
}

std::string Connection::NewInbox() const { return Impl::NewInboxName(); }
Result<void> Connection::Flush(std::chrono::milliseconds timeout) { return impl_->Flush(timeout); }
void Connection::Close() { impl_->Close(); }

}  // namespace lanekeeper::nats
