// One connection to NATS that never gives up: core publish, request and subscribe.
//
// Everything is callable from any thread. No call throws, none waits longer than its timeout.
// libnats stays behind this header: no other room sees <nats/nats.h>.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "worker-runtime/base/result.h"

namespace lanekeeper::nats {

// PEM files; empty = none. A certificate goes with its key.
struct TlsFiles {
  std::string ca;           // Who may have signed the server's certificate. Empty: the system's.
  std::string certificate;  // Our own, and its chain.
  std::string key;
  bool operator==(const TlsFiles&) const = default;
};

// What the files hold, as texts. Secrets: never logged.
struct Access {
  std::string credentials;  // A .creds file's text, or the seed of an nkey.
  std::string tls_ca;
  std::string tls_certificate;
  std::string tls_key;
  bool operator==(const Access&) const = default;
};

struct ConnectOptions {
  // One server or several with commas between. User, password or token stand in the URL:
  // "nats://user:password@host:4222", "nats://token@host:4222". With "tls://…", and whenever `tls`
  // or `access` has something about TLS, nothing is sent before the server has proved who it is.
  std::string url = "nats://127.0.0.1:4222";
  std::string name;              // Shown in the server's list of connections.
  std::string credentials_file;  // A .creds file, or the seed of an nkey in a file; empty = none.
  TlsFiles tls;
  // Instead of files, one by one; see Renew.
  Access access;
  // The files are looked at this often. When something else is in them the connection is made anew
  // with it; as long as that fails, the present one stays.
  std::chrono::milliseconds access_interval{5000};
  bool wait_for_first = true;                       // See Open.
  std::chrono::milliseconds connect_timeout{2000};  // For one attempt at one server.
  std::chrono::milliseconds reconnect_wait{250};    // Between attempts; jitter is added.
  std::chrono::milliseconds ping_interval{2000};    // Two unanswered pings: the peer is dead.
  int reconnect_buffer_bytes = 1 << 20;  // What Publish may keep while there is no connection.
  // kAtOnce: each message is a write of its own. kTogether: a thread writes what has come together
  // since its last write was answered; many times the throughput, a thread's wake-up later.
  enum class Writes { kAtOnce, kTogether };
  Writes writes = Writes::kAtOnce;
  // Handlers of SubscribeCallback run on one thread shared by the whole process instead of one
  // thread per subscription: for connections with thousands of subscriptions and short handlers.
  // Do not call Request from a handler then.
  bool shared_delivery = false;
};

// In the order they were added; a name may occur twice.
using Headers = std::vector<std::pair<std::string, std::string>>;

struct Message {
  std::string subject;
  std::string reply;  // Empty: nobody waits for an answer.
  std::string payload;
  Headers headers;
  int status = 0;  // Of a headers-only status message (100, 404, 408, 409, 503…); 0 = none.
  std::string status_text;  // "Leadership Change".

  // The first value of a header, compared without case; nothing when it is absent.
  std::optional<std::string_view> Header(std::string_view name) const;
  // The server's answer when nobody is subscribed to the subject of a request.
  bool NoResponders() const { return status == 503; }
};

struct ConnectionChange {
  enum class Kind {
    kConnected,     // Also after every reconnect.
    kDisconnected,  // Tried again in the background.
    kClosed,        // By Close. No further change comes.
    kDenied,        // Permissions violation; `subject` says for what.
    kSlowConsumer,  // A subscription dropped messages.
    kError,         // Anything else, e.g. refused credentials. Tried again in the background.
  };
  Kind kind = Kind::kError;
  std::string text;     // What the server or libnats said.
  std::string subject;  // For kDenied, when the server named it.
};

// Ends what it stands for when it is destroyed: afterwards no callback runs or will run. Destroying
// it from inside its own callback is allowed. May outlive its Connection.
class Registration {
 public:
  virtual ~Registration() = default;
};

// A subscription read by one thread at a time. May outlive its Connection, silent then.
class Subscription {
 public:
  virtual ~Subscription() = default;  // Unsubscribes.
  // The next message, or nothing after `timeout` (0 = only what is already here).
  virtual std::optional<Message> Next(std::chrono::milliseconds timeout) = 0;
  virtual const std::string& subject() const = 0;
  // Tells the server to send no more, for good. Returns when the server has confirmed, or after
  // `timeout` with kRetryable: by then everything it had sent is here to be read with Next.
  virtual Result<void> StopDelivery(std::chrono::milliseconds timeout) = 0;
  // Messages dropped because more than `capacity` were waiting.
  virtual std::int64_t Dropped() const = 0;
};

using MessageHandler = std::function<void(Message)>;
using AnswerHandler = std::function<void(Result<Message>)>;
using ChangeHandler = std::function<void(const ConnectionChange&)>;

class Connection {
 public:
  // Returns after one attempt (at most connect_timeout per server) whether or not a server was
  // there, or without one unless wait_for_first; goes on trying for ever in the background, also
  // after refused credentials. kInvalid: the URL, or a file of credentials or certificates, cannot
  // be read or used.
  static Result<std::unique_ptr<Connection>> Open(ConnectOptions options);
  // Closes. Less than 500 ms. Handlers no longer run afterwards.
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  bool Connected() const;
  // Takes the place of options.access. The connection is made anew with it in the background, as
  // when a file has changed. kInvalid, and nothing changes: it cannot be used.
  Result<void> Renew(Access access);
  // Waits for Connected(); false after `timeout`.
  bool WaitConnected(std::chrono::milliseconds timeout) const;
  // Goes up with every connect and reconnect: whatever was asked for in an earlier epoch is gone.
  std::uint64_t Epoch() const;
  std::string LastError() const;
  // Times a subscription had to drop messages.
  std::int64_t SlowConsumerCount() const;
  // The largest payload the server takes; 1 MiB until it has said so.
  std::int64_t MaxPayload() const;

  // Runs on a libnats thread, one change at a time; keep it short. Not told of changes before.
  [[nodiscard]] std::unique_ptr<Registration> OnChange(ChangeHandler handler);

  // Written, not confirmed. While disconnected it is kept up to reconnect_buffer_bytes and sent
  // after the reconnect; beyond that kRetryable. kInvalid: more than MaxPayload.
  Result<void> Publish(std::string_view subject, std::string_view payload,
                       const Headers& headers = {});
  Result<void> PublishRequest(std::string_view subject, std::string_view reply,
                              std::string_view payload, const Headers& headers = {});

  // One answer. Nobody subscribed: a Message with NoResponders(). kForbidden, without waiting for
  // the timeout: the server refused the subject. kRetryable at once while disconnected or when the
  // connection is lost meanwhile, and after `timeout`.
  Result<Message> Request(std::string_view subject, std::string_view payload,
                          const Headers& headers, std::chrono::milliseconds timeout);

  // The same without waiting: `handler` is called exactly once, with what Request would have
  // returned. It runs on a thread of this connection, or before this returns when the request could
  // not be written; after a timeout up to a second late. Keep it short; no Request from inside.
  void RequestAsync(std::string_view subject, std::string_view payload, const Headers& headers,
                    std::chrono::milliseconds timeout, AnswerHandler handler);

  // At most `capacity` messages wait to be read; more are dropped and counted. Survives reconnects.
  Result<std::unique_ptr<Subscription>> Subscribe(std::string_view subject, int capacity = 65536);
  // `handler` runs on the subscription's own thread (or see shared_delivery), one message at a
  // time.
  Result<std::unique_ptr<Registration>> SubscribeCallback(std::string_view subject,
                                                          MessageHandler handler,
                                                          int capacity = 65536);
  // Ends by itself after the first message.
  Result<std::unique_ptr<Registration>> SubscribeOnce(std::string_view subject,
                                                      MessageHandler handler);

  // A fresh subject to be answered on: "_INBOX.…". Append ".<token>" to tell answers apart.
  std::string NewInbox() const;
  // Returns when the server has processed everything written so far.
  Result<void> Flush(std::chrono::milliseconds timeout);
  // Idempotent. Everything afterwards is kRetryable "connection closed".
  void Close();

 private:
  class Impl;
  class ReadHandle;
  class CallbackHandle;
  class ListenerHandle;
  explicit Connection(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

}  // namespace lanekeeper::nats
