#include "operator/kubernetes/credential_source.h"

#include <utility>

namespace lanekeeper::kubernetes {

CredentialSource::CredentialSource(const KubeConfig& config, const Clock& clock)
    : file_(config.token_file),
      login_(config.exec),
      own_certificate_(!config.client_certificate_pem.empty()),
      clock_(clock),
      credential_{.token = config.token,
                  .certificate_pem = config.client_certificate_pem,
                  .key_pem = config.client_key_pem} {}

Result<Credential> CredentialSource::Current(const std::stop_token& stop) {
  const std::lock_guard lock(mutex_);
  if (login_) {
    const bool over = expires_ && clock_.WallNow() >= *expires_;
    if (!logged_in_ || over) {
      if (Result<void> login = Login(stop); !login) {
        return tl::unexpected<Error>(std::move(login).error());
      }
    }
  } else if (!file_.empty() && (!read_at_ || clock_.Now() - *read_at_ >= kTokenAge)) {
    ReadToken();
  }
  return credential_;
}

Result<bool> CredentialSource::Renew(const Credential& refused, const std::stop_token& stop) {
  const std::lock_guard lock(mutex_);
  if (credential_ == refused) {
    if (login_) {
      if (Result<void> login = Login(stop); !login) {
        return tl::unexpected<Error>(std::move(login).error());
      }
    } else if (!file_.empty()) {
      ReadToken();
    }
  }
  return credential_ != refused;
}

void CredentialSource::ReadToken() {
  read_at_ = clock_.Now();
  std::string token = ReadTokenFile(file_);
  if (!token.empty()) credential_.token = std::move(token);
}

Result<void> CredentialSource::Login(const std::stop_token& stop) {
  Result<ExecCredential> made = RunExecLogin(*login_, stop);
  if (!made) return tl::unexpected<Error>(std::move(made).error());
  expires_ = made->expires;
  logged_in_ = true;
  const Credential own = std::exchange(credential_, std::move(made->credential));
  if (own_certificate_) {
    credential_.certificate_pem = own.certificate_pem;
    credential_.key_pem = own.key_pem;
  }
  return {};
}

}  // namespace lanekeeper::kubernetes
