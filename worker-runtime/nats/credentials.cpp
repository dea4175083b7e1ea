#include "worker-runtime/nats/credentials.h"

#include <openssl/evp.h>

#include <memory>

#include "worker-runtime/base/destroy_with.h"
#include "worker-runtime/nats/nkey.h"

namespace lanekeeper::nats {
namespace {

using KeyHandle = std::unique_ptr<EVP_PKEY, DestroyWith<EVP_PKEY_free>>;

std::string_view Trimmed(std::string_view text) {
  constexpr std::string_view kBlank = " \t\r\n";
  const std::size_t first = text.find_first_not_of(kBlank);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlank) - first + 1);
}

// The first line after the one that has `title` between dashes; empty when there is none.
std::string_view Section(std::string_view text, std::string_view title) {
  const std::size_t found = text.find(title);
  if (found == std::string_view::npos) return {};
  std::string_view rest = text.substr(found + title.size());
  const std::size_t line_end = rest.find('\n');
  if (line_end == std::string_view::npos) return {};
  rest = rest.substr(line_end + 1);
  return Trimmed(rest.substr(0, rest.find('\n')));
}

}  // namespace

Result<Credentials> ParseCredentials(std::string_view text) {
  Credentials read;
  if (text.find("-----BEGIN") == std::string_view::npos) {
    read.seed = Trimmed(text);
  } else {
    read.jwt = Section(text, "BEGIN NATS USER JWT");
    read.seed = Section(text, "BEGIN USER NKEY SEED");
    if (read.seed.empty()) return Fail(ErrorKind::kInvalid, "has no section USER NKEY SEED");
  }
  const auto seed = DecodeSeed(read.seed);
  if (!seed || seed->kind != kNkeyUser) {
    return Fail(ErrorKind::kInvalid,
                "is neither a .creds file nor the seed of a user's nkey (SU…)");
  }
  return read;
}

Result<std::string> PublicKeyOf(std::string_view text) {
  const auto seed = DecodeSeed(text);
  if (!seed) return Fail(ErrorKind::kInvalid, "not the seed of an nkey");
  const KeyHandle key(
      EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed->key.data(), seed->key.size()));
  Ed25519Key open{};
  std::size_t size = open.size();
  if (!key || EVP_PKEY_get_raw_public_key(key.get(), open.data(), &size) != 1) {
    return Fail(ErrorKind::kInvalid, "the seed is no Ed25519 key");
  }
  return EncodePublicKey(seed->kind, open);
}

}  // namespace lanekeeper::nats
