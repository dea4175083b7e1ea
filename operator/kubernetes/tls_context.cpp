#include "operator/kubernetes/tls_context.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <utility>

#include "worker-runtime/base/destroy_with.h"

namespace lanekeeper::kubernetes {
namespace {

using BioHandle = std::unique_ptr<BIO, DestroyWith<BIO_free_all>>;
using CertificateHandle = std::unique_ptr<X509, DestroyWith<X509_free>>;
using KeyHandle = std::unique_ptr<EVP_PKEY, DestroyWith<EVP_PKEY_free>>;
using ContextHandle = std::unique_ptr<SSL_CTX, DestroyWith<SSL_CTX_free>>;

BioHandle OpenPem(const std::string& pem) {
  return BioHandle(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

CertificateHandle NextCertificate(BIO* pem) {
  return CertificateHandle(PEM_read_bio_X509(pem, nullptr, nullptr, nullptr));
}

// How many certificates of `pem` are now believed, and no others.
int TrustOnly(SSL_CTX* context, const std::string& pem) {
  X509_STORE* store = X509_STORE_new();
  SSL_CTX_set_cert_store(context, store);  // Takes ownership.
  const BioHandle bio = OpenPem(pem);
  int count = 0;
  while (const CertificateHandle certificate = NextCertificate(bio.get())) {
    count += X509_STORE_add_cert(store, certificate.get());
  }
  ERR_clear_error();  // The end of the file is an error to PEM_read_bio.
  return count;
}

// The first certificate of `pem` is ours, those after it lead to its authority.
bool ShowCertificate(SSL_CTX* context, const std::string& pem) {
  const BioHandle bio = OpenPem(pem);
  const CertificateHandle own = NextCertificate(bio.get());
  if (!own || SSL_CTX_use_certificate(context, own.get()) != 1) return false;
  while (const CertificateHandle next = NextCertificate(bio.get())) {
    SSL_CTX_add1_chain_cert(context, next.get());
  }
  ERR_clear_error();
  return true;
}

bool UseKey(SSL_CTX* context, const std::string& pem) {
  const BioHandle bio = OpenPem(pem);
  // Without a password callback OpenSSL would ask on the terminal.
  const auto no_password = [](char*, int, int, void*) { return 0; };
  const KeyHandle key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr));
  return key && SSL_CTX_use_PrivateKey(context, key.get()) == 1;
}

}  // namespace

TlsContext::TlsContext(const KubeConfig& config)
    : ca_pem_(config.ca_pem),
      certificate_pem_(config.client_certificate_pem),
      key_pem_(config.client_key_pem),
      server_name_(config.tls_server_name.empty() ? config.host : config.tls_server_name) {}

Result<std::shared_ptr<TlsContext>> TlsContext::Create(const KubeConfig& config) {
  std::shared_ptr<TlsContext> tls(new TlsContext(config));
  const ContextHandle trial(SSL_CTX_new(TLS_client_method()));
  if (!trial) return Fail(ErrorKind::kRetryable, "setting up TLS: no context");
  if (!tls->ca_pem_.empty() && TrustOnly(trial.get(), tls->ca_pem_) == 0) {
    return Fail(ErrorKind::kInvalid, "certificate-authority holds no certificate in PEM form");
  }
  if (tls->certificate_pem_.empty()) return tls;
  if (!ShowCertificate(trial.get(), tls->certificate_pem_)) {
    return Fail(ErrorKind::kInvalid, "client-certificate holds no certificate in PEM form");
  }
  if (!UseKey(trial.get(), tls->key_pem_)) {
    ERR_clear_error();
    return Fail(ErrorKind::kInvalid,
                "client-key holds no key in PEM form without a password that belongs to "
                "client-certificate");
  }
  return tls;
}

void TlsContext::Configure(SSL_CTX* context) {
  SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
  if (!ca_pem_.empty()) TrustOnly(context, ca_pem_);
  if (!certificate_pem_.empty()) {
    ShowCertificate(context, certificate_pem_);
    UseKey(context, key_pem_);
  }
  X509_VERIFY_PARAM* param = SSL_CTX_get0_param(context);
  if (X509_VERIFY_PARAM_set1_ip_asc(param, server_name_.c_str()) != 1) {
    ERR_clear_error();  // Not an address, so it is a name.
    X509_VERIFY_PARAM_set1_host(param, server_name_.c_str(), server_name_.size());
  }
  SSL_CTX_set_cert_verify_callback(context, &TlsContext::Verify, this);
}

std::string TlsContext::TakeRefusal() {
  const std::lock_guard lock(mutex_);
  return std::exchange(refusal_, "");
}

// Replaces the check of whoever owns the connection: theirs knows nothing of IPv6 addresses or of
// tls-server-name. Name and chain are both checked here, by OpenSSL.
int TlsContext::Verify(X509_STORE_CTX* chain, void* self) {
  X509_STORE_CTX_set_verify_cb(chain, [](int ok, X509_STORE_CTX*) { return ok; });
  const int ok = X509_verify_cert(chain);
  auto* tls = static_cast<TlsContext*>(self);
  const std::lock_guard lock(tls->mutex_);
  tls->refusal_ = ok == 1 ? "" : X509_verify_cert_error_string(X509_STORE_CTX_get_error(chain));
  return ok;
}

}  // namespace lanekeeper::kubernetes
