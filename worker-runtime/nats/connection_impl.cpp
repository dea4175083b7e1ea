#include "worker-runtime/nats/connection_impl.h"

#include <algorithm>
#include <cstring>
#include <random>
#include <utility>

#include "worker-runtime/base/backoff.h"
#include "worker-runtime/base/log.h"
#include "worker-runtime/nats/callback_ids.h"

namespace lanekeeper::nats {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kWriteDeadline{2000};  // A silent peer must not hold Publish for ever.
constexpr std::chrono::microseconds kWriteNap{300};
constexpr milliseconds kWriteWindow{2};
constexpr double kWriteFastRate = 20'000;  // Messages a second.
constexpr Backoff kReopenBackoff{.initial = milliseconds(500), .max = milliseconds(5000)};
constexpr std::chrono::seconds kFreeEvery{1};
constexpr milliseconds kFreeFlush{2000};
constexpr std::int64_t kMaxPayloadUnknown = 1 << 20;

// Defined with Connection::Impl as void, because Impl is private to Connection.
CallbackIds<void>& ConnectionIds() {
  static auto& ids = *new CallbackIds<void>();  // Outlives libnats' threads.
  return ids;
}

std::uintptr_t IdOf(const void* closure) { return reinterpret_cast<std::uintptr_t>(closure); }

std::uint64_t RandomBits() {
  thread_local std::mt19937_64 random{std::random_device{}()};
  return random();
}

std::vector<std::string> SplitUrls(const std::string& urls) {
  std::vector<std::string> parts;
  std::string part;
  for (const char c : urls + ",") {
    if (c == ',') {
      if (!part.empty()) parts.push_back(std::move(part));
      part.clear();
    } else if (c != ' ') {
      part += c;
    }
  }
  return parts;
}

// `Permissions Violation for Publish to "a.b"` names the subject it is about.
std::string QuotedPart(const std::string& text) {
  const std::size_t first = text.find('"');
  if (first == std::string::npos) return {};
  const std::size_t second = text.find('"', first + 1);
  if (second == std::string::npos) return {};
  return text.substr(first + 1, second - first - 1);
}

// What libnats said last on this thread: "(conn.c:1905): Authorization Violation", without the
// place in its own source.
std::string SaidLast() {
  const char* text = nats_GetLastError(nullptr);
  std::string said = text == nullptr ? "" : text;
  const std::size_t place_end = said.find("): ");
  if (said.starts_with('(') && place_end != std::string::npos) said.erase(0, place_end + 3);
  return said;
}

Error NotConnected() { return {ErrorKind::kRetryable, "not connected"}; }
Error ClosedError() { return {ErrorKind::kRetryable, "connection closed"}; }

// The text stands in the connection itself, where the next one may be written meanwhile.
std::string LastErrorOf(natsConnection* session) {
  constexpr std::size_t kTextMax = 255;
  const char* text = nullptr;
  natsConnection_GetLastError(session, &text);
  return text == nullptr ? std::string() : std::string(text, strnlen(text, kTextMax));
}

}  // namespace

std::string Connection::Impl::NewInboxName() {
  natsInbox* inbox = nullptr;
  if (natsInbox_Create(&inbox) != NATS_OK) return "_INBOX.unnamed";
  std::string name(inbox);
  natsInbox_Destroy(inbox);
  return name;
}

Connection::Impl::Impl(ConnectOptions options)
    : options_(std::move(options)), inbox_(NewInboxName()), given_(options_.access) {}

Connection::Impl::~Impl() { Close(); }

Result<OptionsHandle> Connection::Impl::MakeOptions(std::uintptr_t session_id, const Access& access,
                                                    bool libnats_retries) const {
  OptionsHandle made;
  natsStatus status = natsOptions_Create(OutParam(made));
  if (status != NATS_OK) return tl::unexpected(ToError(status, "making options"));
  natsOptions* const raw = made.get();
  void* const closure = CallbackIds<void>::ToClosure(session_id);
  const auto also = [&status](natsStatus next) {
    if (status == NATS_OK) status = next;
  };
  const std::vector<std::string> urls = SplitUrls(options_.url);
  if (urls.empty()) return Fail(ErrorKind::kInvalid, "no NATS URL");
  std::vector<const char*> servers;
  for (const std::string& url : urls) servers.push_back(url.c_str());
  also(natsOptions_SetServers(raw, servers.data(), static_cast<int>(servers.size())));
  if (!options_.name.empty()) also(natsOptions_SetName(raw, options_.name.c_str()));
  if (auto set = SetTls(raw, access, urls); !set) return tl::unexpected(std::move(set).error());
  const SignIn sign_in{&Impl::OnJwtWanted, &Impl::OnSignatureWanted, closure};
  if (auto set = SetSignIn(raw, access, sign_in); !set) {
    return tl::unexpected(std::move(set).error());
  }
  also(natsOptions_SetTimeout(raw, options_.connect_timeout.count()));
  also(natsOptions_SetWriteDeadline(raw, kWriteDeadline.count()));
  also(natsOptions_SetMaxReconnect(raw, -1));
  also(natsOptions_SetReconnectWait(raw, options_.reconnect_wait.count()));
  also(natsOptions_SetReconnectJitter(raw, options_.reconnect_wait.count() / 2 + 1,
                                      options_.reconnect_wait.count() / 2 + 1));
  also(natsOptions_SetPingInterval(raw, options_.ping_interval.count()));
  also(natsOptions_SetMaxPingsOut(raw, 2));
  also(natsOptions_SetReconnectBufSize(raw, std::max(1, options_.reconnect_buffer_bytes)));
  also(natsOptions_SetSendAsap(raw, options_.writes == ConnectOptions::Writes::kAtOnce));
  also(natsOptions_UseGlobalMessageDelivery(raw, options_.shared_delivery));
  // What libnats tries by itself fails without a reason.
  if (libnats_retries) {
    also(natsOptions_SetRetryOnFailedConnect(raw, true, &Impl::OnConnected, closure));
  }
  also(natsOptions_SetReconnectedCB(raw, &Impl::OnConnected, closure));
  also(natsOptions_SetDisconnectedCB(raw, &Impl::OnDisconnected, closure));
  also(natsOptions_SetClosedCB(raw, &Impl::OnClosed, closure));
  also(natsOptions_SetErrorHandler(raw, &Impl::OnError, closure));
  if (status != NATS_OK) return tl::unexpected(ToError(status, "setting options"));
  return made;
}

Result<void> Connection::Impl::Start() {
  const Result<Access> access = ReadAccess();
  if (!access) return tl::unexpected(access.error());
  looked_at_ = std::chrono::steady_clock::now();
  if (options_.wait_for_first) {
    if (auto opened = OpenSession(*access); !opened && opened.error().kind == ErrorKind::kInvalid) {
      return opened;
    }
  } else {
    if (auto usable = MakeOptions(0, *access, false); !usable)
      return tl::unexpected(usable.error());
    const std::lock_guard lock(mutex_);
    session_lost_ = true;
  }
  keeper_ = std::jthread([this](std::stop_token stop) { KeepSession(std::move(stop)); });
  if (options_.writes == ConnectOptions::Writes::kTogether) {
    writer_ = std::jthread([this](std::stop_token stop) { WriteTogether(std::move(stop)); });
  }
  return {};
}

Result<void> Connection::Impl::OpenSession(const Access& access, bool only_better) {
  const std::uintptr_t id = ConnectionIds().Add(shared_from_this());
  auto made = MakeOptions(id, access, options_.wait_for_first && !only_better);
  if (!made) {
    ConnectionIds().Remove(id);
    return tl::unexpected(std::move(made).error());
  }
  {
    // What libnats asks for while it connects.
    const std::lock_guard lock(mutex_);
    credentials_[id] = ParseCredentials(access.credentials).value_or(Credentials{});
  }
  natsConnection* raw = nullptr;
  const natsStatus status = natsConnection_Connect(&raw, made->get());
  SessionHandle session(raw, [](natsConnection* ended) { natsConnection_Destroy(ended); });
  if (raw == nullptr || (only_better && status != NATS_OK && Connected())) {
    ConnectionIds().Remove(id);
    Error error = ToError(status, "connecting");
    if (const std::string said = SaidLast(); error.message.find(said) == std::string::npos) {
      error.message += " (" + said + ")";
    }
    RecordError(error.message);
    const std::lock_guard lock(mutex_);
    credentials_.erase(id);
    if (!session_) session_lost_ = true;
    return tl::unexpected(std::move(error));
  }
  {
    const std::lock_guard lock(mutex_);
    used_ = access;
    credentials_.erase(session_id_);
  }
  ReplaceSession(std::move(session), id, status == NATS_OK);
  return {};
}

void Connection::Impl::ReplaceSession(SessionHandle session, std::uintptr_t id, bool connected) {
  const bool was_live = Connected();
  natsConnection* const raw = session.get();
  SessionHandle before;  // Destroyed after the lock.
  {
    const std::lock_guard lock(mutex_);
    ConnectionIds().Remove(std::exchange(session_id_, id));
    before = std::exchange(session_, std::move(session));
    ++sessions_;
    // Its callbacks may have run before the id was ours.
    session_lost_ = natsConnection_IsClosed(raw);
    connected = connected || natsConnection_Status(raw) == NATS_CONN_STATUS_CONNECTED;
    was_connected_ = connected;
  }
  AttachAll(raw);
  changed_.notify_all();
  if (was_live) {
    // What was written there, settlements among it, arrives before the end.
    static_cast<void>(natsConnection_FlushTimeout(before.get(), kWriteDeadline.count()));
    requests_.FailAll({ErrorKind::kRetryable, "connection made anew"});
    Tell({.kind = ConnectionChange::Kind::kDisconnected, .text = "connection made anew"});
  }
  if (connected) Tell({.kind = ConnectionChange::Kind::kConnected});
}

void Connection::Impl::KeepSession(std::stop_token stop) {
  int failures = options_.wait_for_first ? 0 : -1;  // The first attempt has been made, or has not.
  const milliseconds nap = std::min<milliseconds>(kFreeEvery, options_.access_interval);
  std::unique_lock lock(mutex_);
  while (!stop.stop_requested()) {
    if (!changed_.wait_for(lock, stop, nap, [&] { return session_lost_ || look_now_; }) ||
        !session_lost_) {
      lock.unlock();
      requests_.Expire(std::chrono::steady_clock::now());
      FreeSubscriptions();
      LookForOtherAccess();
      lock.lock();
      continue;
    }
    if (std::exchange(was_connected_, false)) failures = 0;
    if (++failures > 0) {
      const milliseconds pause = Jittered(kReopenBackoff.After(failures), RandomBits());
      changed_.wait_for(lock, stop, pause, [this] { return look_now_; });
      if (stop.stop_requested()) return;
    }
    look_now_ = false;
    lock.unlock();
    ReopenSession();
    lock.lock();
  }
}

void Connection::Impl::FreeSubscriptions() {
  const std::vector<natsSubscription*> buried = grave_->Take();
  if (buried.empty()) return;
  if (Connected() && Flush(kFreeFlush)) {
    SubscriptionGrave::Free(buried);
  } else {
    grave_->PutBack(buried);
  }
}

// libnats writes by itself a millisecond after the first message. A flush writes at once, and while
// it waits for the server's answer the next messages come together. When they come fast, a nap
// before it lets more of them share one write, and all that one write costs on both sides.
void Connection::Impl::WriteTogether(std::stop_token stop) {
  MonotonicTime since = std::chrono::steady_clock::now();
  int came = 0;
  bool fast = false;
  while (!stop.stop_requested()) {
    {
      std::unique_lock lock(write_mutex_);
      write_.wait(lock, stop, [this] { return unwritten_ > 0; });
    }
    if (stop.stop_requested()) return;
    if (fast) std::this_thread::sleep_for(kWriteNap);
    came += unwritten_.exchange(0);
    const MonotonicTime now = std::chrono::steady_clock::now();
    if (now - since >= kWriteWindow) {
      fast = came >= kWriteFastRate * std::chrono::duration<double>(now - since).count();
      since = now;
      came = 0;
    }
    // A failure is the session's business: what is unwritten stays in libnats' buffer.
    static_cast<void>(Flush(kWriteDeadline));
  }
}

void Connection::Impl::NoteUnwritten() {
  if (options_.writes == ConnectOptions::Writes::kAtOnce || unwritten_++ > 0) return;
  // The lock: not between the writer's look and its wait.
  { const std::lock_guard lock(write_mutex_); }
  write_.notify_one();
}

void Connection::Impl::AttachAll(natsConnection* session) {
  const std::lock_guard attach_lock(attach_mutex_);
  std::vector<std::shared_ptr<SessionSubscription>> subscriptions;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& weak : subscriptions_) {
      if (auto live = weak.lock()) subscriptions.push_back(std::move(live));
    }
  }
  for (const auto& subscription : subscriptions) {
    if (auto attached = subscription->Attach(session, grave_); !attached) {
      RecordError(attached.error().message);
    }
  }
}

Result<void> Connection::Impl::Adopt(const std::shared_ptr<SessionSubscription>& made) {
  const std::lock_guard attach_lock(attach_mutex_);
  const SessionHandle session = Session();
  if (session && !natsConnection_IsClosed(session.get())) {
    if (auto attached = made->Attach(session.get(), grave_); !attached) {
      // Closed in between: the keeper will attach it to the next session.
      if (!natsConnection_IsClosed(session.get())) return attached;
    }
  }
  const std::lock_guard lock(mutex_);
  if (closed_) return tl::unexpected(ClosedError());
  // Amortised: the dead are swept whenever the list would have to grow.
  if (subscriptions_.size() == subscriptions_.capacity()) {
    std::erase_if(subscriptions_, [](const auto& weak) { return weak.expired(); });
    subscriptions_.reserve(std::max<std::size_t>(16, subscriptions_.size() * 2));
  }
  subscriptions_.push_back(made);
  return {};
}

void Connection::Impl::Close() {
  SessionHandle session;
  {
    const std::lock_guard lock(mutex_);
    if (std::exchange(closed_, true)) return;
    session = std::exchange(session_, nullptr);
    ConnectionIds().Remove(std::exchange(session_id_, 0));
  }
  {
    const std::lock_guard lock(answers_mutex_);
    if (answers_) answers_->Shut();
  }
  // First the session, which ends whatever the keeper waits for.
  if (session) natsConnection_Close(session.get());
  keeper_ = {};  // Stops and joins.
  writer_ = {};
  SessionHandle late;
  {
    // The keeper may have opened one more.
    const std::lock_guard lock(mutex_);
    late = std::exchange(session_, nullptr);
    ConnectionIds().Remove(std::exchange(session_id_, 0));
  }
  if (late) natsConnection_Close(late.get());
  grave_->Close();  // The readers are gone.
  requests_.FailAll(ClosedError());
  changed_.notify_all();
  Tell({.kind = ConnectionChange::Kind::kClosed});
}

SessionHandle Connection::Impl::Session() const {
  const std::lock_guard lock(mutex_);
  return session_;
}

bool Connection::Impl::Connected() const {
  const SessionHandle session = Session();
  return session && natsConnection_Status(session.get()) == NATS_CONN_STATUS_CONNECTED;
}

bool Connection::Impl::WaitConnected(milliseconds timeout) const {
  constexpr milliseconds kLook{20};  // libnats tells of a connect a moment after it.
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  while (!Connected()) {
    if (std::chrono::steady_clock::now() >= deadline) return false;
    std::unique_lock lock(mutex_);
    if (closed_) return false;
    changed_.wait_for(lock, kLook);
  }
  return true;
}

std::uint64_t Connection::Impl::Epoch() const {
  const std::lock_guard lock(mutex_);
  std::uint64_t reconnects = 0;
  StatisticsHandle statistics;
  const natsStatus made = natsStatistics_Create(OutParam(statistics));
  if (made == NATS_OK && session_ &&
      natsConnection_GetStats(session_.get(), statistics.get()) == NATS_OK) {
    natsStatistics_GetCounts(statistics.get(), nullptr, nullptr, nullptr, nullptr, &reconnects);
  }
  return (sessions_ << 32) + reconnects;
}

std::string Connection::Impl::LastError() const {
  const std::lock_guard lock(mutex_);
  return last_error_;
}

std::int64_t Connection::Impl::SlowConsumerCount() const {
  const std::lock_guard lock(mutex_);
  return slow_consumers_;
}

std::int64_t Connection::Impl::MaxPayload() const {
  const SessionHandle session = Session();
  const std::int64_t said = session ? natsConnection_GetMaxPayload(session.get()) : 0;
  return said > 0 ? said : kMaxPayloadUnknown;
}

Result<void> Connection::Impl::Publish(std::string_view subject, std::string_view reply,
                                       std::string_view payload, const Headers& headers) {
  const SessionHandle session = Session();
  if (!session) return tl::unexpected(NotConnected());
  if (static_cast<std::int64_t>(payload.size()) > MaxPayload()) {
    return Fail(ErrorKind::kInvalid,
                "publishing to " + std::string(subject) + ": " + std::to_string(payload.size()) +
                    " bytes, the server takes " + std::to_string(MaxPayload()));
  }
  natsStatus status = NATS_OK;
  if (headers.empty() && reply.empty()) {
    status = natsConnection_Publish(session.get(), std::string(subject).c_str(), payload.data(),
                                    static_cast<int>(payload.size()));
  } else if (headers.empty()) {
    status = natsConnection_PublishRequest(session.get(), std::string(subject).c_str(),
                                           std::string(reply).c_str(), payload.data(),
                                           static_cast<int>(payload.size()));
  } else {
    auto message = ToNatsMessage(subject, reply, payload, headers);
    if (!message) return tl::unexpected(std::move(message).error());
    status = natsConnection_PublishMsg(session.get(), message->get());
  }
  if (status == NATS_OK) {
    NoteUnwritten();
    return {};
  }
  return tl::unexpected(ToError(status, "publishing to " + std::string(subject)));
}

Result<void> Connection::Impl::EnsureAnswers() {
  const std::lock_guard lock(answers_mutex_);
  if (answers_) return {};
  const std::weak_ptr<Impl> weak = weak_from_this();
  const std::size_t prefix = inbox_.size() + 1;
  auto made = CallbackSubscription::Make(
      inbox_ + ".*",
      [weak, prefix](Message message) {
        const auto self = weak.lock();
        if (!self || message.subject.size() <= prefix) return;
        const std::string token = message.subject.substr(prefix);
        self->requests_.Answer(token, std::move(message));
      },
      1 << 20, /*once=*/false);
  if (auto adopted = Adopt(made); !adopted) return adopted;
  answers_ = std::move(made);
  return {};
}

Result<Message> Connection::Impl::Request(std::string_view subject, std::string_view payload,
                                          const Headers& headers, milliseconds timeout) {
  const std::string what = "requesting " + std::string(subject);
  if (!Connected()) return Wrap(NotConnected(), what);
  if (auto ready = EnsureAnswers(); !ready) return Wrap(std::move(ready).error(), what);
  const std::string token = requests_.Begin(subject);
  if (auto sent = Publish(subject, inbox_ + "." + token, payload, headers); !sent) {
    requests_.Forget(token);
    return tl::unexpected(std::move(sent).error());
  }
  auto answer = requests_.Wait(token, timeout);
  if (!answer) return Wrap(std::move(answer).error(), what);
  return answer;
}

void Connection::Impl::RequestAsync(std::string_view subject, std::string_view payload,
                                    const Headers& headers, milliseconds timeout,
                                    AnswerHandler handler) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  const std::string token = requests_.Begin(subject, deadline, std::move(handler));
  Result<void> sent = Connected() ? EnsureAnswers() : tl::unexpected(NotConnected());
  if (sent) sent = Publish(subject, inbox_ + "." + token, payload, headers);
  if (sent) return;
  sent.error().message.insert(0, "requesting " + std::string(subject) + ": ");
  requests_.Refuse(token, std::move(sent).error());
}

Result<void> Connection::Impl::Flush(milliseconds timeout) {
  const SessionHandle session = Session();
  if (!session) return tl::unexpected(NotConnected());
  const natsStatus status =
      natsConnection_FlushTimeout(session.get(), std::max<std::int64_t>(1, timeout.count()));
  if (status == NATS_OK) return {};
  return tl::unexpected(ToError(status, "flushing"));
}

void Connection::Impl::AddListener(const std::shared_ptr<Listener>& listener) {
  const std::lock_guard lock(mutex_);
  std::erase_if(listeners_, [](const auto& weak) { return weak.expired(); });
  listeners_.push_back(listener);
}

void Connection::Impl::RecordError(std::string text) {
  const std::lock_guard lock(mutex_);
  last_error_ = std::move(text);
}

void Connection::Impl::Tell(const ConnectionChange& change) {
  std::vector<std::shared_ptr<Listener>> listeners;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& weak : listeners_) {
      if (auto live = weak.lock()) listeners.push_back(std::move(live));
    }
  }
  for (const auto& listener : listeners) {
    listener->gate.Run([&] { listener->handler(change); });
  }
}

void Connection::Impl::Handle(std::uintptr_t session_id, ConnectionChange change) {
  using Kind = ConnectionChange::Kind;
  {
    const std::lock_guard lock(mutex_);
    if (closed_ || session_id != session_id_) return;
    if (!change.text.empty()) last_error_ = change.text;
    if (change.kind == Kind::kSlowConsumer) ++slow_consumers_;
    if (change.kind == Kind::kClosed) session_lost_ = true;
    if (change.kind == Kind::kConnected) was_connected_ = true;
  }
  changed_.notify_all();
  switch (change.kind) {
    case Kind::kDisconnected:
      requests_.FailAll({ErrorKind::kRetryable, "connection lost"});
      break;
    case Kind::kDenied:
      requests_.RefuseSubject(change.subject, {ErrorKind::kForbidden, change.text});
      break;
    case Kind::kClosed:
      // libnats gave up; the keeper does not.
      requests_.FailAll({ErrorKind::kRetryable, "connection lost"});
      change.kind = Kind::kError;
      break;
    case Kind::kConnected:
    case Kind::kSlowConsumer:
    case Kind::kError:
      break;
  }
  Tell(change);
}

natsStatus Connection::Impl::OnJwtWanted(char** jwt, char** error, void* closure) {
  const auto self = std::static_pointer_cast<Impl>(ConnectionIds().Find(closure));
  *jwt = self ? strdup(self->CredentialsOf(IdOf(closure)).jwt.c_str()) : nullptr;
  if (*jwt != nullptr) return NATS_OK;
  *error = strdup("the connection has ended");
  return NATS_ERR;
}

natsStatus Connection::Impl::OnSignatureWanted(char** error, unsigned char** signature, int* length,
                                               const char* nonce, void* closure) {
  const auto self = std::static_pointer_cast<Impl>(ConnectionIds().Find(closure));
  if (self) {
    return nats_Sign(self->CredentialsOf(IdOf(closure)).seed.c_str(), nonce, signature, length);
  }
  *error = strdup("the connection has ended");
  return NATS_ERR;
}

void Connection::Impl::OnConnected(natsConnection* /*session*/, void* closure) {
  const auto self = std::static_pointer_cast<Impl>(ConnectionIds().Find(closure));
  if (self) self->Handle(IdOf(closure), {.kind = ConnectionChange::Kind::kConnected});
}

void Connection::Impl::OnDisconnected(natsConnection* session, void* closure) {
  const auto self = std::static_pointer_cast<Impl>(ConnectionIds().Find(closure));
  if (!self) return;
  self->Handle(IdOf(closure),
               {.kind = ConnectionChange::Kind::kDisconnected, .text = LastErrorOf(session)});
}

void Connection::Impl::OnClosed(natsConnection* session, void* closure) {
  const auto self = std::static_pointer_cast<Impl>(ConnectionIds().Find(closure));
  if (!self) return;
  self->Handle(IdOf(closure),
               {.kind = ConnectionChange::Kind::kClosed, .text = LastErrorOf(session)});
}

void Connection::Impl::OnError(natsConnection* session, natsSubscription* /*subscription*/,
                               natsStatus status, void* closure) {
  const auto self = std::static_pointer_cast<Impl>(ConnectionIds().Find(closure));
  if (!self) return;
  ConnectionChange change;
  // In a burst it may belong to a later error than `status` does.
  change.text = LastErrorOf(session);
  if (change.text.empty()) change.text = natsStatus_GetText(status);
  if (status == NATS_SLOW_CONSUMER) {
    change.kind = ConnectionChange::Kind::kSlowConsumer;
    change.text = natsStatus_GetText(status);
  } else if (status == NATS_NOT_PERMITTED) {
    change.kind = ConnectionChange::Kind::kDenied;
    change.subject = QuotedPart(change.text);
  }
  self->Handle(IdOf(closure), std::move(change));
}

}  // namespace lanekeeper::nats
