#include "worker-runtime/gateway/http_transport_channel.h"

#include <openssl/err.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <utility>

#include "worker-runtime/base/log.h"

namespace lanekeeper::gateway::transport {
namespace {

constexpr std::chrono::seconds kLookAtFilesEvery{1};

std::string SslError() {
  std::array<char, 256> text{};
  const unsigned long code = ERR_get_error();
  ERR_clear_error();
  if (code == 0) return "cannot be read";
  ERR_error_string_n(code, text.data(), text.size());
  return text.data();
}

std::string StampOf(const std::string& file) {
  struct stat state {};
  if (stat(file.c_str(), &state) != 0) return "absent;";
  return std::to_string(state.st_ino) + "," + std::to_string(state.st_size) + "," +
         std::to_string(state.st_mtim.tv_sec) + "," + std::to_string(state.st_mtim.tv_nsec) + ";";
}

std::string StampOf(const TransportTls& files) {
  return StampOf(files.certificate_file) + StampOf(files.key_file);
}

Result<SslContextHandle> LoadContext(const TransportTls& files) {
  ERR_clear_error();
  SslContextHandle context(SSL_CTX_new(TLS_server_method()));
  if (!context) return Fail(ErrorKind::kRetryable, "making a TLS context: " + SslError());
  SSL_CTX* const raw = context.get();
  SSL_CTX_set_min_proto_version(raw, TLS1_2_VERSION);
  SSL_CTX_set_options(raw, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  // Buffers of an idle connection are given back: most of ten thousand watchers are.
  SSL_CTX_set_mode(raw, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                            SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  if (SSL_CTX_use_certificate_chain_file(raw, files.certificate_file.c_str()) != 1) {
    return Fail(ErrorKind::kInvalid,
                "reading the TLS certificate " + files.certificate_file + ": " + SslError());
  }
  if (SSL_CTX_use_PrivateKey_file(raw, files.key_file.c_str(), SSL_FILETYPE_PEM) != 1 ||
      SSL_CTX_check_private_key(raw) != 1) {
    return Fail(ErrorKind::kInvalid, "reading the TLS key " + files.key_file + " of certificate " +
                                         files.certificate_file + ": " + SslError());
  }
  return context;
}

}  // namespace

Io Channel::Outcome(int result) const {
  switch (SSL_get_error(ssl_.get(), result)) {
    case SSL_ERROR_WANT_READ:
      return Io::kWantRead;
    case SSL_ERROR_WANT_WRITE:
      return Io::kWantWrite;
    case SSL_ERROR_ZERO_RETURN:
      return Io::kEnd;
    default:
      ERR_clear_error();
      return Io::kFailed;
  }
}

Io Channel::Handshake() {
  if (!ssl_) return Io::kDone;
  ERR_clear_error();
  const int result = SSL_accept(ssl_.get());
  return result == 1 ? Io::kDone : Outcome(result);
}

Io Channel::Read(char* to, std::size_t size, std::size_t& moved) {
  if (ssl_) {
    ERR_clear_error();
    const int result = SSL_read_ex(ssl_.get(), to, size, &moved);
    return result == 1 ? Io::kDone : Outcome(result);
  }
  const ssize_t count = recv(descriptor_, to, size, MSG_DONTWAIT);
  if (count > 0) {
    moved = static_cast<std::size_t>(count);
    return Io::kDone;
  }
  if (count == 0) return Io::kEnd;
  return errno == EAGAIN || errno == EINTR ? Io::kWantRead : Io::kFailed;
}

Io Channel::Write(std::string_view bytes, std::size_t& moved) {
  if (ssl_) {
    ERR_clear_error();
    const int result = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &moved);
    return result == 1 ? Io::kDone : Outcome(result);
  }
  const ssize_t count = send(descriptor_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (count >= 0) {
    moved = static_cast<std::size_t>(count);
    return Io::kDone;
  }
  return errno == EAGAIN || errno == EINTR ? Io::kWantWrite : Io::kFailed;
}

void Channel::EndSending() {
  if (ssl_ && SSL_is_init_finished(ssl_.get())) {
    ERR_clear_error();
    SSL_shutdown(ssl_.get());
    ERR_clear_error();
  }
  shutdown(descriptor_, SHUT_WR);
}

Result<std::unique_ptr<TlsContext>> TlsContext::Load(TransportTls files) {
  std::string stamp = StampOf(files);
  auto context = LoadContext(files);
  if (!context) return tl::unexpected(std::move(context).error());
  return std::unique_ptr<TlsContext>(
      new TlsContext(std::move(files), *std::move(context), std::move(stamp)));
}

void TlsContext::Refresh() {
  const auto now = std::chrono::steady_clock::now();
  if (now - looked_at_ < kLookAtFilesEvery) return;
  looked_at_ = now;
  std::string stamp = StampOf(files_);
  if (stamp == stamp_) return;
  auto context = LoadContext(files_);
  if (!context) {
    // Certificate and key are seldom written in the same instant: it is tried again.
    if (stamp != failed_stamp_) {
      log::Warning("transport", "certificate_kept", {{"error", context.error().message}});
    }
    failed_stamp_ = std::move(stamp);
    return;
  }
  log::Info("transport", "certificate_loaded", {{"file", files_.certificate_file}});
  context_ = *std::move(context);
  stamp_ = std::move(stamp);
  failed_stamp_.clear();
}

SslHandle TlsContext::NewSession(int descriptor) {
  Refresh();
  SslHandle ssl(SSL_new(context_.get()));
  if (ssl && SSL_set_fd(ssl.get(), descriptor) != 1) ssl.reset();
  ERR_clear_error();
  return ssl;
}

}  // namespace lanekeeper::gateway::transport
