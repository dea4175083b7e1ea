#include "worker-runtime/nats/testing/nats_identities.h"

#include <openssl/evp.h>
#include <openssl/rand.h>

#include <array>
#include <memory>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string_view>

#include "worker-runtime/base/destroy_with.h"
#include "worker-runtime/nats/credentials.h"
#include "worker-runtime/nats/nkey.h"

namespace lanekeeper::nats {
namespace {

using nlohmann::json;

using KeyHandle = std::unique_ptr<EVP_PKEY, DestroyWith<EVP_PKEY_free>>;
using SigningHandle = std::unique_ptr<EVP_MD_CTX, DestroyWith<EVP_MD_CTX_free>>;

std::string Base64Url(const unsigned char* bytes, std::size_t size) {
  std::string text((size + 2) / 3 * 4 + 1, '\0');
  const int length =
      EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes, static_cast<int>(size));
  text.resize(static_cast<std::size_t>(length));
  while (text.ends_with('=')) text.pop_back();
  for (char& c : text) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return text;
}

std::string Base64Url(const std::string& text) {
  return Base64Url(reinterpret_cast<const unsigned char*>(text.data()), text.size());
}

std::string Sign(const json& claims, const std::string& seed) {
  const std::string signed_part = Base64Url(json{{"typ", "JWT"}, {"alg", "ed25519-nkey"}}.dump()) +
                                  "." + Base64Url(claims.dump());
  const NkeySeed key = DecodeSeed(seed).value();
  const KeyHandle signer(
      EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, key.key.data(), key.key.size()));
  const SigningHandle signing(EVP_MD_CTX_new());
  std::array<unsigned char, 64> signature{};
  std::size_t length = signature.size();
  if (EVP_DigestSignInit(signing.get(), nullptr, nullptr, nullptr, signer.get()) != 1 ||
      EVP_DigestSign(signing.get(), signature.data(), &length,
                     reinterpret_cast<const unsigned char*>(signed_part.data()),
                     signed_part.size()) != 1) {
    throw std::runtime_error("signing a JWT");
  }
  return signed_part + "." + Base64Url(signature.data(), length);
}

json Claims(const std::string& issuer, const std::string& subject, const std::string& name,
            json of_nats) {
  of_nats["version"] = 2;
  return {{"jti", "none"}, {"iat", 1'700'000'000}, {"iss", issuer},
          {"name", name},  {"sub", subject},       {"nats", std::move(of_nats)}};
}

std::string AccountJwt(const Nkey& signer, const Nkey& account, const std::string& name,
                       bool jetstream) {
  json limits = {{"wildcards", true}};
  for (const char* unlimited : {"subs", "data", "payload", "imports", "exports", "conn", "leaf"}) {
    limits[unlimited] = -1;
  }
  if (jetstream) {
    for (const char* unlimited :
         {"mem_storage", "disk_storage", "streams", "consumer", "max_ack_pending"}) {
      limits[unlimited] = -1;
    }
  }
  return Sign(Claims(signer.public_half, account.public_half, name,
                     {{"type", "account"}, {"limits", limits}}),
              signer.seed);
}

}  // namespace

Nkey MakeNkey(char kind) {
  NkeySeed seed;
  seed.kind = kind == 'O' ? kNkeyOperator : kind == 'A' ? kNkeyAccount : kNkeyUser;
  if (RAND_bytes(seed.key.data(), static_cast<int>(seed.key.size())) != 1) {
    throw std::runtime_error("no random bytes");
  }
  Nkey made{.seed = EncodeSeed(seed)};
  made.public_half = PublicKeyOf(made.seed).value();
  return made;
}

JwtOperator::JwtOperator(const std::vector<std::string>& accounts)
    : operator_key_(MakeNkey('O')), system_(MakeNkey('A')) {
  for (const std::string& account : accounts) accounts_.emplace(account, MakeNkey('A'));
}

std::string JwtOperator::Config() const {
  std::string config = "operator: " +
                       Sign(Claims(operator_key_.public_half, operator_key_.public_half, "test",
                                   {{"type", "operator"}}),
                            operator_key_.seed) +
                       "\nsystem_account: " + system_.public_half +
                       "\nresolver: MEMORY\nresolver_preload: {\n  " + system_.public_half + ": " +
                       AccountJwt(operator_key_, system_, "SYS", /*jetstream=*/false) + "\n";
  for (const auto& [name, key] : accounts_) {
    config += "  " + key.public_half + ": " +
              AccountJwt(operator_key_, key, name, /*jetstream=*/true) + "\n";
  }
  return config + "}\n";
}

std::string JwtOperator::NewUser(const std::string& account, const std::string& name) const {
  const Nkey& signer = accounts_.at(account);
  const Nkey user = MakeNkey('U');
  const std::string jwt = Sign(Claims(signer.public_half, user.public_half, name,
                                      {{"type", "user"},
                                       {"subs", -1},
                                       {"data", -1},
                                       {"payload", -1},
                                       {"pub", json::object()},
                                       {"sub", json::object()}}),
                               signer.seed);
  return "-----BEGIN NATS USER JWT-----\n" + jwt +
         "\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n" + user.seed +
         "\n------END USER NKEY SEED------\n";
}

std::string AccountsConfig(const std::map<std::string, std::vector<std::string>>& users) {
  std::string config = "accounts: {\n";
  for (const auto& [account, keys] : users) {
    config += "  " + account + ": { jetstream: enabled, users: [";
    for (const std::string& key : keys) config += "{nkey: " + key + "},";
    config += "] }\n";
  }
  return config + "}\n";
}

}  // namespace lanekeeper::nats
