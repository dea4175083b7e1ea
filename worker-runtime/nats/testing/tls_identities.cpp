#include "worker-runtime/nats/testing/tls_identities.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <atomic>
#include <stdexcept>

#include "worker-runtime/base/destroy_with.h"

namespace lanekeeper::nats {
namespace {

using KeyHandle = std::unique_ptr<EVP_PKEY, DestroyWith<EVP_PKEY_free>>;
using CertificateHandle = std::unique_ptr<X509, DestroyWith<X509_free>>;
using ExtensionHandle = std::unique_ptr<X509_EXTENSION, DestroyWith<X509_EXTENSION_free>>;
using BioHandle = std::unique_ptr<BIO, DestroyWith<BIO_free_all>>;

void Require(bool held) {
  if (!held) throw std::runtime_error("making a certificate");
}

std::string Text(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  return {data, static_cast<std::size_t>(size)};
}

std::string PemOf(X509* certificate) {
  const BioHandle bio(BIO_new(BIO_s_mem()));
  Require(PEM_write_bio_X509(bio.get(), certificate) == 1);
  return Text(bio.get());
}

std::string PemOf(EVP_PKEY* key) {
  const BioHandle bio(BIO_new(BIO_s_mem()));
  Require(PEM_write_bio_PrivateKey(bio.get(), key, nullptr, nullptr, 0, nullptr, nullptr) == 1);
  return Text(bio.get());
}

void AddExtension(X509* certificate, int kind, const std::string& value) {
  const ExtensionHandle made(X509V3_EXT_conf_nid(nullptr, nullptr, kind, value.c_str()));
  Require(made && X509_add_ext(certificate, made.get(), -1) == 1);
}

CertificateHandle NewCertificate(const std::string& name, EVP_PKEY* key) {
  static std::atomic<long> serial{1};
  CertificateHandle made(X509_new());
  X509_set_version(made.get(), 2);
  ASN1_INTEGER_set(X509_get_serialNumber(made.get()), serial++);
  X509_gmtime_adj(X509_getm_notBefore(made.get()), -60);
  X509_gmtime_adj(X509_getm_notAfter(made.get()), 3600);
  X509_set_pubkey(made.get(), key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(made.get()), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  return made;
}

}  // namespace

struct TlsAuthority::Keys {
  KeyHandle key{EVP_EC_gen("P-256")};
  CertificateHandle certificate;
};

TlsAuthority::TlsAuthority() : keys_(std::make_unique<Keys>()) {
  keys_->certificate = NewCertificate("test authority", keys_->key.get());
  X509* const made = keys_->certificate.get();
  X509_set_issuer_name(made, X509_get_subject_name(made));
  AddExtension(made, NID_basic_constraints, "critical,CA:TRUE");
  Require(X509_sign(made, keys_->key.get(), EVP_sha256()) > 0);
  certificate_ = PemOf(made);
}

TlsAuthority::~TlsAuthority() = default;

TlsIdentity TlsAuthority::Sign(const std::string& name, const std::string& alternative) const {
  const KeyHandle key(EVP_EC_gen("P-256"));
  const CertificateHandle made = NewCertificate(name, key.get());
  X509_set_issuer_name(made.get(), X509_get_subject_name(keys_->certificate.get()));
  if (!alternative.empty()) AddExtension(made.get(), NID_subject_alt_name, alternative);
  Require(X509_sign(made.get(), keys_->key.get(), EVP_sha256()) > 0);
  return {PemOf(made.get()), PemOf(key.get())};
}

}  // namespace lanekeeper::nats
