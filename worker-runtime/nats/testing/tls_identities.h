// Certificates for tests, signed by an authority that lives as long as the object.
#pragma once

#include <memory>
#include <string>

namespace lanekeeper::nats {

struct TlsIdentity {
  std::string certificate;  // PEM.
  std::string key;
};

class TlsAuthority {
 public:
  TlsAuthority();
  ~TlsAuthority();
  // PEM.
  const std::string& certificate() const { return certificate_; }
  // Valid for an hour. `alternative`: "DNS:localhost,IP:127.0.0.1"; empty for clients.
  TlsIdentity Sign(const std::string& name, const std::string& alternative = "") const;

 private:
  struct Keys;
  std::unique_ptr<Keys> keys_;
  std::string certificate_;
};

}  // namespace lanekeeper::nats
