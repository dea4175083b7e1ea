// A connected socket that never blocks, plain or with TLS; and the certificate behind the latter.
#pragma once

#include <openssl/ssl.h>

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "worker-runtime/gateway/http_transport.h"

namespace lanekeeper::gateway::transport {

struct SslDeleter {
  void operator()(SSL* ssl) const noexcept { SSL_free(ssl); }
  void operator()(SSL_CTX* context) const noexcept { SSL_CTX_free(context); }
};
using SslHandle = std::unique_ptr<SSL, SslDeleter>;
using SslContextHandle = std::unique_ptr<SSL_CTX, SslDeleter>;

enum class Io { kDone, kWantRead, kWantWrite, kEnd, kFailed };

// One thread, which blocks SIGPIPE. Does not own the socket.
class Channel {
 public:
  Channel(int descriptor, SslHandle ssl) : descriptor_(descriptor), ssl_(std::move(ssl)) {}

  bool secure() const { return ssl_ != nullptr; }
  Io Handshake();
  // kDone: `moved` bytes, at least one. kEnd: the peer sends nothing more.
  Io Read(char* to, std::size_t size, std::size_t& moved);
  Io Write(std::string_view bytes, std::size_t& moved);
  // Whether Read has bytes that the socket does not show.
  bool Holds() const { return ssl_ != nullptr && SSL_pending(ssl_.get()) > 0; }
  // Nothing more is sent.
  void EndSending();

 private:
  Io Outcome(int result) const;

  int descriptor_;
  SslHandle ssl_;
};

// TLS 1.2 and later with the certificate and key of these files, which are read again when they
// have changed, looked at once a second at most. One thread after Load.
class TlsContext {
 public:
  // kInvalid, naming the file.
  static Result<std::unique_ptr<TlsContext>> Load(TransportTls files);
  // For a new connection. Files that cannot be used are told once; the former are used on.
  SslHandle NewSession(int descriptor);

 private:
  TlsContext(TransportTls files, SslContextHandle context, std::string stamp)
      : files_(std::move(files)), context_(std::move(context)), stamp_(std::move(stamp)) {}
  void Refresh();

  TransportTls files_;
  SslContextHandle context_;
  std::string stamp_;         // Of the files in use.
  std::string failed_stamp_;  // Of files that could not be used, and were complained of.
  std::chrono::steady_clock::time_point looked_at_{};
};

}  // namespace lanekeeper::gateway::transport
