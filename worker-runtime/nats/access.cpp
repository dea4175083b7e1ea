#include "worker-runtime/nats/access.h"

#include <algorithm>
#include <fstream>
#include <utility>

#include "worker-runtime/base/log.h"
#include "worker-runtime/nats/callback_ids.h"
#include "worker-runtime/nats/connection_impl.h"
#include "worker-runtime/nats/credentials.h"

namespace lanekeeper::nats {
namespace {

constexpr std::size_t kFileBytesMax = 1 << 20;

Result<void> ReadFile(const char* what, const std::string& path, std::string* text) {
  if (!text->empty() || path.empty()) return {};
  std::ifstream file(path, std::ios::binary);
  std::string read(kFileBytesMax + 1, '\0');
  file.read(read.data(), static_cast<std::streamsize>(read.size()));
  read.resize(file.bad() ? 0 : static_cast<std::size_t>(file.gcount()));
  if (read.empty() || read.size() > kFileBytesMax) {
    return Fail(ErrorKind::kInvalid,
                std::string(what) + " " + path +
                    (read.empty() ? ": cannot be read, or is empty" : ": is larger than 1 MiB"));
  }
  *text = std::move(read);
  return {};
}

}  // namespace

Result<Access> CompleteFromFiles(const ConnectOptions& options, Access given) {
  const std::pair<const char*, std::pair<const std::string*, std::string*>> files[] = {
      {"credentials file", {&options.credentials_file, &given.credentials}},
      {"TLS authorities", {&options.tls.ca, &given.tls_ca}},
      {"TLS certificate", {&options.tls.certificate, &given.tls_certificate}},
      {"TLS key", {&options.tls.key, &given.tls_key}}};
  for (const auto& [what, file] : files) {
    if (auto read = ReadFile(what, *file.first, file.second); !read) {
      return tl::unexpected(std::move(read).error());
    }
  }
  if (given.tls_certificate.empty() != given.tls_key.empty()) {
    return Fail(ErrorKind::kInvalid, "a TLS certificate and its key go together; one is missing");
  }
  return given;
}

Result<void> SetTls(natsOptions* options, const Access& access,
                    const std::vector<std::string>& urls) {
  const bool asked =
      !access.tls_ca.empty() || !access.tls_certificate.empty() ||
      std::ranges::any_of(urls, [](const std::string& url) { return url.starts_with("tls://"); });
  if (!asked) return {};
  // libnats holds each server's certificate against the host of its URL.
  const natsStatus status = natsOptions_SetSecure(options, true);
  if (status != NATS_OK) return tl::unexpected(ToError(status, "setting up TLS"));
  if (!access.tls_ca.empty() &&
      natsOptions_SetCATrustedCertificates(options, access.tls_ca.c_str()) != NATS_OK) {
    return Fail(ErrorKind::kInvalid, "the TLS authorities are no certificates in PEM");
  }
  if (!access.tls_certificate.empty() &&
      natsOptions_SetCertificatesChain(options, access.tls_certificate.c_str(),
                                       access.tls_key.c_str()) != NATS_OK) {
    return Fail(ErrorKind::kInvalid,
                "the TLS certificate and key are not PEM, or do not belong together");
  }
  return {};
}

Result<void> SetSignIn(natsOptions* options, const Access& access, const SignIn& sign_in) {
  if (access.credentials.empty()) return {};
  const auto credentials = ParseCredentials(access.credentials);
  if (!credentials) {
    return Fail(ErrorKind::kInvalid, "what is given as credentials " + credentials.error().message);
  }
  natsStatus status = NATS_OK;
  if (credentials->jwt.empty()) {
    const auto open = PublicKeyOf(credentials->seed);
    if (!open) return tl::unexpected(open.error());
    status = natsOptions_SetNKey(options, open->c_str(), sign_in.signature, sign_in.closure);
  } else {
    status = natsOptions_SetUserCredentialsCallbacks(options, sign_in.jwt, sign_in.closure,
                                                     sign_in.signature, sign_in.closure);
  }
  if (status != NATS_OK) return tl::unexpected(ToError(status, "setting credentials"));
  return {};
}

Result<Access> Connection::Impl::ReadAccess() const {
  Access given;
  {
    const std::lock_guard lock(mutex_);
    given = given_;
  }
  return CompleteFromFiles(options_, std::move(given));
}

Credentials Connection::Impl::CredentialsOf(std::uintptr_t session_id) const {
  const std::lock_guard lock(mutex_);
  const auto found = credentials_.find(session_id);
  return found == credentials_.end() ? Credentials{} : found->second;
}

Result<void> Connection::Impl::Renew(Access access) {
  const Result<Access> whole = CompleteFromFiles(options_, access);
  if (!whole) return tl::unexpected(whole.error());
  if (auto usable = MakeOptions(0, *whole, false); !usable) return tl::unexpected(usable.error());
  {
    const std::lock_guard lock(mutex_);
    given_ = std::move(access);
    look_now_ = true;
  }
  changed_.notify_all();
  return {};
}

// libnats gave the session up, e.g. after the second refusal: with whatever is there now.
void Connection::Impl::ReopenSession() {
  const Result<Access> access = ReadAccess();
  Result<void> opened = access ? OpenSession(*access) : tl::unexpected<Error>(access.error());
  // A failure leaves the session lost.
  if (!opened) RecordError(opened.error().message);
}

void Connection::Impl::LookForOtherAccess() {
  const auto now = std::chrono::steady_clock::now();
  {
    const std::lock_guard lock(mutex_);
    if (!std::exchange(look_now_, false) && now - looked_at_ < options_.access_interval) return;
  }
  looked_at_ = now;
  const Result<Access> access = ReadAccess();
  Access used;
  {
    const std::lock_guard lock(mutex_);
    used = used_;
  }
  if (access && *access == used) return;
  Result<void> opened =
      access ? OpenSession(*access, /*only_better=*/true) : tl::unexpected<Error>(access.error());
  if (opened) {
    log::Info("nats", "connected_anew", {{"connection", options_.name}, {"why", "new access"}});
    access_problem_.clear();
    return;
  }
  RecordError(opened.error().message);
  if (std::exchange(access_problem_, opened.error().message) != opened.error().message) {
    log::Warning("nats", "new_access_refused",
                 {{"connection", options_.name}, {"error", opened.error().message}});
  }
}

}  // namespace lanekeeper::nats
