// What stands behind Connection. Private to this room.
//
// Threads: any caller; libnats' callback thread (session changes); one keeper thread, which opens a
// new session when libnats has closed the old one for good or there is another way in (access.h),
// and frees subscriptions; with
// Writes::kTogether one writer thread.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "worker-runtime/nats/access.h"
#include "worker-runtime/nats/connection.h"
#include "worker-runtime/nats/credentials.h"
#include "worker-runtime/nats/gate.h"
#include "worker-runtime/nats/handles.h"
#include "worker-runtime/nats/pending_requests.h"
#include "worker-runtime/nats/subscription.h"

namespace lanekeeper::nats {

class Connection::Impl : public std::enable_shared_from_this<Impl> {
 public:
  // One party interested in changes. Shared with the callback thread, hence not inside the owner.
  struct Listener {
    explicit Listener(ChangeHandler on_change) : handler(std::move(on_change)) {}
    const ChangeHandler handler;
    Gate gate;
  };

  static std::string NewInboxName();

  explicit Impl(ConnectOptions options);
  ~Impl();

  Result<void> Start();
  void Close();

  Result<void> Renew(Access access);
  bool Connected() const;
  bool WaitConnected(std::chrono::milliseconds timeout) const;
  std::uint64_t Epoch() const;
  std::string LastError() const;
  std::int64_t SlowConsumerCount() const;
  std::int64_t MaxPayload() const;
  void AddListener(const std::shared_ptr<Listener>& listener);
  Result<void> Publish(std::string_view subject, std::string_view reply, std::string_view payload,
                       const Headers& headers);
  Result<Message> Request(std::string_view subject, std::string_view payload,
                          const Headers& headers, std::chrono::milliseconds timeout);
  void RequestAsync(std::string_view subject, std::string_view payload, const Headers& headers,
                    std::chrono::milliseconds timeout, AnswerHandler handler);
  // Subscribes on the present session, if any, and on every later one while `made` lives.
  Result<void> Adopt(const std::shared_ptr<SessionSubscription>& made);
  Result<void> Flush(std::chrono::milliseconds timeout);

 private:
  static void OnConnected(natsConnection* session, void* closure);
  static void OnDisconnected(natsConnection* session, void* closure);
  static void OnClosed(natsConnection* session, void* closure);
  static void OnError(natsConnection* session, natsSubscription* subscription, natsStatus status,
                      void* closure);

  static natsStatus OnJwtWanted(char** jwt, char** error, void* closure);
  static natsStatus OnSignatureWanted(char** error, unsigned char** signature, int* length,
                                      const char* nonce, void* closure);

  Result<OptionsHandle> MakeOptions(std::uintptr_t session_id, const Access& access,
                                    bool libnats_retries) const;
  // Options, files and what Renew said, joined.
  Result<Access> ReadAccess() const;
  Credentials CredentialsOf(std::uintptr_t session_id) const;
  // In the place of the present session, if there is one. `only_better`: unless that one is
  // connected and the new one is not.
  Result<void> OpenSession(const Access& access, bool only_better = false);
  void ReopenSession();
  void LookForOtherAccess();
  void ReplaceSession(SessionHandle session, std::uintptr_t id, bool connected);
  void KeepSession(std::stop_token stop);
  void AttachAll(natsConnection* session);
  void FreeSubscriptions();
  void WriteTogether(std::stop_token stop);
  void NoteUnwritten();
  SessionHandle Session() const;
  Result<void> EnsureAnswers();
  void Handle(std::uintptr_t session_id, ConnectionChange change);
  void Tell(const ConnectionChange& change);
  void RecordError(std::string text);

  const ConnectOptions options_;
  std::string inbox_;  // Of every answer to Request, without the token.
  PendingRequests requests_;
  const std::shared_ptr<SubscriptionGrave> grave_ = std::make_shared<SubscriptionGrave>();

  mutable std::mutex mutex_;
  mutable std::condition_variable_any changed_;
  SessionHandle session_;
  std::uintptr_t session_id_ = 0;
  std::uint64_t sessions_ = 0;
  bool session_lost_ = false;
  Access given_;                                       // options_.access, or what Renew said since.
  Access used_;                                        // Of the present session.
  std::map<std::uintptr_t, Credentials> credentials_;  // By session: the present and the next.
  bool look_now_ = false;                              // Renew was called.
  std::string access_problem_;                         // Said last; empty: none. Keeper only.
  std::chrono::steady_clock::time_point looked_at_{};  // Keeper only.
  bool was_connected_ = false;                         // Since the session was opened.
  bool closed_ = false;
  std::string last_error_;
  std::int64_t slow_consumers_ = 0;
  std::vector<std::weak_ptr<SessionSubscription>> subscriptions_;
  std::vector<std::weak_ptr<Listener>> listeners_;
  std::shared_ptr<CallbackSubscription> answers_;
  std::mutex answers_mutex_;  // One thread makes answers_.
  std::mutex attach_mutex_;   // A subscription is attached either by Adopt or by AttachAll.
  std::jthread keeper_;

  std::mutex write_mutex_;
  std::condition_variable_any write_;
  std::atomic<int> unwritten_{0};  // Messages since the writer last looked.
  std::jthread writer_;
};

}  // namespace lanekeeper::nats
