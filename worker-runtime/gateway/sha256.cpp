#include "worker-runtime/gateway/sha256.h"

#include <openssl/evp.h>

#include <array>
#include <stdexcept>

namespace lanekeeper::gateway {

std::string Sha256Hex(std::string_view bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  // Fails only where OpenSSL has no SHA-256 at all: nothing can be done with such a process.
  if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1) {
    throw std::runtime_error("OpenSSL has no SHA-256");
  }
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text;
  text.reserve(std::size_t{2} * size);
  for (unsigned int n = 0; n < size; ++n) {
    const unsigned char byte = digest[n];
    text += kHex[byte >> 4];
    text += kHex[byte & 15];
  }
  return text;
}

}  // namespace lanekeeper::gateway
