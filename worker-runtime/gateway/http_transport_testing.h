// Raw sockets against the transport, which this test program installs once, with small limits.
#pragma once

#include <cpprest/http_listener.h>
#include <openssl/ssl.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "worker-runtime/base/testing/eventually.h"
#include "worker-runtime/gateway/http_transport.h"

namespace lanekeeper::gateway {

// What main installs; each test program has its own.
TransportLimits TestLimits();

// Certificate and key of the TLS listeners; Renew writes new ones in their place.
std::filesystem::path CertificateFile();
std::filesystem::path KeyFile();
void WriteCertificate(const std::string& common_name);

struct ClientAnswer {
  int status = 0;
  std::string head;  // With the status line.
  std::string body;
};

// Every wait ends after a minute, with what there is.
class Client {
 public:
  explicit Client(int port);
  ~Client();
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  bool Connected() const { return descriptor_ >= 0; }
  // False: the connection is gone.
  bool Send(std::string_view bytes) const;
  // The next answer, with a body of known length, of chunks (put together), or none.
  ClientAnswer Answer(bool has_body = true);
  // What comes until `text`, with it; shorter when the connection ends first.
  std::string Until(std::string_view text);
  std::string UntilEnd();
  void HalfClose() const;
  void Reset();  // Ends the connection with an RST.
  int descriptor() const { return descriptor_; }

  // Speaks TLS from now on. False: no handshake. `version` 0: any.
  bool StartTls(int version_max = 0);
  std::string PeerName() const;  // The common name of its certificate.

 private:
  bool Fill();

  int descriptor_ = -1;
  std::string unread_;
  SSL_CTX* context_ = nullptr;
  SSL* ssl_ = nullptr;
};

std::string Get(const std::string& path, const std::string& more = "");
std::string Post(const std::string& path, const std::string& body, const std::string& more = "");

int FreePort();

// Answers with the number of bytes of the body.
void Ok(const web::http::http_request& request);

// A listener with one handler for everything.
class TestServer {
 public:
  using Handler = std::function<void(web::http::http_request)>;
  // On a free port.
  explicit TestServer(const Handler& handler, const std::string& path = "",
                      const char* scheme = "http");
  TestServer(int port, const Handler& handler, const std::string& path, const char* scheme);
  ~TestServer() { Close(); }
  TestServer(const TestServer&) = delete;
  TestServer& operator=(const TestServer&) = delete;

  int port() const { return port_; }
  void Close();

 private:
  void Open(const Handler& handler, const std::string& path, const char* scheme);

  int port_;
  std::unique_ptr<web::http::experimental::listener::http_listener> listener_;
};

// Hands each stream of a listener to the test.
struct Streams {
  std::promise<std::shared_ptr<HttpStream>> started;
  std::promise<void> gone;
  std::atomic<int> times_gone{0};

  TestServer::Handler Handler() {
    return [this](const web::http::http_request& request) {
      if (request.relative_uri().path() != "/events") {
        request.reply(200, "other");
        return;
      }
      started.set_value(StartStream(request, 200, {{"Content-Type", "text/event-stream"}}, [this] {
        if (++times_gone == 1) gone.set_value();
      }));
    };
  }
  std::shared_ptr<HttpStream> Next() { return started.get_future().get(); }
};

}  // namespace lanekeeper::gateway
