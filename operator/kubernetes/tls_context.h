// How a connection to the API server is secured: which authorities are believed, for which name,
// and which certificate we show. On OpenSSL alone, so that it does not matter who does the I/O.
#pragma once

#include <memory>
#include <mutex>
#include <string>

#include "operator/kubernetes/kubeconfig.h"
#include "worker-runtime/base/result.h"

struct ssl_ctx_st;         // OpenSSL's SSL_CTX.
struct x509_store_ctx_st;  // OpenSSL's X509_STORE_CTX.

namespace lanekeeper::kubernetes {

// Any thread.
class TlsContext {
 public:
  // kInvalid when a certificate or key cannot be read.
  static Result<std::shared_ptr<TlsContext>> Create(const KubeConfig& config);

  // Sets up `context` for one connection. This object must outlive the connection's handshake.
  void Configure(ssl_ctx_st* context);

  // Why the last server certificate was not believed; empty when it was. Asked once per failure.
  std::string TakeRefusal();

 private:
  explicit TlsContext(const KubeConfig& config);
  static int Verify(x509_store_ctx_st* chain, void* self);

  const std::string ca_pem_;
  const std::string certificate_pem_;
  const std::string key_pem_;
  const std::string server_name_;
  std::mutex mutex_;
  std::string refusal_;
};

}  // namespace lanekeeper::kubernetes
