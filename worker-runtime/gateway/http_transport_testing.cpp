#include "worker-runtime/gateway/http_transport_testing.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <utility>

#include "worker-runtime/telemetry/telemetry_server.h"

namespace lanekeeper::gateway {
namespace {

using web::http::experimental::listener::http_listener;

constexpr std::chrono::seconds kPatience{60};

std::filesystem::path& Folder() {
  static std::filesystem::path folder;
  return folder;
}

sockaddr_in Loopback(int port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

std::string ValueOf(const std::string& head, const std::string& name) {
  const std::size_t at = head.find("\r\n" + name + ": ");
  if (at == std::string::npos) return "";
  const std::size_t begin = at + name.size() + 4;
  return head.substr(begin, head.find("\r\n", begin) - begin);
}

}  // namespace

std::filesystem::path CertificateFile() { return Folder() / "tls.crt"; }
std::filesystem::path KeyFile() { return Folder() / "tls.key"; }

void WriteCertificate(const std::string& common_name) {
  EVP_PKEY* const key = EVP_EC_gen("P-256");
  X509* const certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
  X509_gmtime_adj(X509_getm_notBefore(certificate), -60);
  X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
  X509_set_pubkey(certificate, key);
  X509_NAME* const name = X509_get_subject_name(certificate);
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(common_name.c_str()), -1, -1,
                             0);
  X509_set_issuer_name(certificate, name);
  X509_sign(certificate, key, EVP_sha256());
  std::FILE* file = std::fopen(CertificateFile().c_str(), "w");
  PEM_write_X509(file, certificate);
  std::fclose(file);
  file = std::fopen(KeyFile().c_str(), "w");
  PEM_write_PrivateKey(file, key, nullptr, nullptr, 0, nullptr, nullptr);
  std::fclose(file);
  X509_free(certificate);
  EVP_PKEY_free(key);
}

Client::Client(int port) : descriptor_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const timeval patience{kPatience.count(), 0};
  setsockopt(descriptor_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(descriptor_, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  const sockaddr_in address = Loopback(port);
  if (connect(descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    close(std::exchange(descriptor_, -1));
  }
}

Client::~Client() {
  SSL_free(ssl_);
  SSL_CTX_free(context_);
  if (descriptor_ >= 0) close(descriptor_);
}

bool Client::Send(std::string_view bytes) const {
  while (!bytes.empty()) {
    const ssize_t sent = ssl_ != nullptr
                             ? SSL_write(ssl_, bytes.data(), static_cast<int>(bytes.size()))
                             : send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(sent));
  }
  return true;
}

bool Client::Fill() {
  std::array<char, 16384> buffer{};
  ssize_t count = 0;
  do {  // A socket with a timeout does not go on by itself when the process was stopped meanwhile.
    count = ssl_ != nullptr ? SSL_read(ssl_, buffer.data(), static_cast<int>(buffer.size()))
                            : recv(descriptor_, buffer.data(), buffer.size(), 0);
  } while (count < 0 && errno == EINTR);
  if (count > 0) unread_.append(buffer.data(), static_cast<std::size_t>(count));
  return count > 0;
}

std::string Client::Until(std::string_view text) {
  std::size_t at = 0;
  while ((at = unread_.find(text)) == std::string::npos) {
    if (!Fill()) return std::exchange(unread_, {});
  }
  std::string read = unread_.substr(0, at + text.size());
  unread_.erase(0, read.size());
  return read;
}

std::string Client::UntilEnd() {
  while (Fill()) {
  }
  return std::exchange(unread_, {});
}

ClientAnswer Client::Answer(bool has_body) {
  ClientAnswer answer;
  answer.head = Until("\r\n\r\n");
  if (answer.head.size() > 12) answer.status = std::atoi(answer.head.c_str() + 9);
  if (!has_body) return answer;
  if (ValueOf(answer.head, "Transfer-Encoding") == "chunked") {
    for (;;) {
      const std::string size = Until("\r\n");
      const auto bytes = static_cast<std::size_t>(std::strtoul(size.c_str(), nullptr, 16));
      while (unread_.size() < bytes + 2 && Fill()) {
      }
      answer.body += unread_.substr(0, bytes);
      unread_.erase(0, bytes + 2);
      if (bytes == 0) return answer;
    }
  }
  const auto bytes =
      static_cast<std::size_t>(std::atoll(ValueOf(answer.head, "Content-Length").c_str()));
  while (unread_.size() < bytes && Fill()) {
  }
  answer.body = unread_.substr(0, bytes);
  unread_.erase(0, bytes);
  return answer;
}

void Client::HalfClose() const { shutdown(descriptor_, SHUT_WR); }

void Client::Reset() {
  const linger now{1, 0};
  setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  close(std::exchange(descriptor_, -1));
}

bool Client::StartTls(int version_max) {
  context_ = SSL_CTX_new(TLS_client_method());
  SSL_CTX_set_security_level(context_, 0);
  if (version_max != 0) SSL_CTX_set_max_proto_version(context_, version_max);
  ssl_ = SSL_new(context_);
  SSL_set_fd(ssl_, descriptor_);
  return SSL_connect(ssl_) == 1;
}

std::string Client::PeerName() const {
  X509* const certificate = SSL_get1_peer_certificate(ssl_);
  std::array<char, 128> name{};
  X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name.data(),
                            static_cast<int>(name.size()));
  X509_free(certificate);
  return name.data();
}

std::string Get(const std::string& path, const std::string& more) {
  return "GET " + path + " HTTP/1.1\r\nHost: test\r\n" + more + "\r\n";
}

std::string Post(const std::string& path, const std::string& body, const std::string& more) {
  return "POST " + path +
         " HTTP/1.1\r\nHost: test\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" +
         more + "\r\n" + body;
}

void Ok(const web::http::http_request& request) {
  request.reply(200, std::to_string(TakeBody(request).size()));
}

int FreePort() {
  const int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof address;
  bind(descriptor, reinterpret_cast<const sockaddr*>(&address), size);
  getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size);
  close(descriptor);
  return ntohs(address.sin_port);
}

TestServer::TestServer(const Handler& handler, const std::string& path, const char* scheme)
    : port_(FreePort()) {
  // Somebody may have taken the port since.
  for (int tries_left = 20; tries_left > 0 && !listener_; --tries_left) {
    try {
      Open(handler, path, scheme);
    } catch (const std::exception&) {
      port_ = FreePort();
    }
  }
  if (!listener_) throw std::runtime_error("no port to listen on");
}

TestServer::TestServer(int port, const Handler& handler, const std::string& path,
                       const char* scheme)
    : port_(port) {
  Open(handler, path, scheme);
}

void TestServer::Open(const Handler& handler, const std::string& path, const char* scheme) {
  auto listener = std::make_unique<http_listener>(std::string(scheme) +
                                                  "://127.0.0.1:" + std::to_string(port_) + path);
  listener->support(handler);
  listener->open().wait();
  listener_ = std::move(listener);
}

void TestServer::Close() {
  if (listener_) listener_->close().wait();
  listener_.reset();
}

}  // namespace lanekeeper::gateway

// cpprestsdk keeps what belongs to its thread pool until the process has ended.
extern "C" const char* __lsan_default_suppressions() { return "leak:libcpprest"; }
// An exception's reference count lives in libstdc++, where ThreadSanitizer does not see it.
extern "C" const char* __tsan_default_suppressions() { return "race:_ExceptionHolder"; }

int main(int argc, char** argv) {
  using namespace lanekeeper;
  std::signal(SIGPIPE, SIG_IGN);  // For the clients, not for the transport.
  testing::InitGoogleTest(&argc, argv);
  std::string folder = (std::filesystem::temp_directory_path() / "transport-XXXXXX").string();
  if (mkdtemp(folder.data()) == nullptr) return 1;
  gateway::Folder() = folder;
  gateway::WriteCertificate("first");
  telemetry::SizeThreadPool(4);
  const auto installed = gateway::InstallTransport(
      {.limits = gateway::TestLimits(),
       .tls = {gateway::CertificateFile().string(), gateway::KeyFile().string()}});
  if (!installed) std::fprintf(stderr, "%s\n", installed.error().message.c_str());
  const int outcome = installed ? RUN_ALL_TESTS() : 1;
  std::filesystem::remove_all(folder);
  return outcome;
}
