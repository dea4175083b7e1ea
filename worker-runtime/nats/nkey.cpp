#include "worker-runtime/nats/nkey.h"

#include <algorithm>
#include <vector>

namespace lanekeeper::nats {
namespace {

constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
constexpr std::uint8_t kSeedMark = 18 << 3;  // 'S'
constexpr std::size_t kSeedBytes = 2 + 32 + 2;

// CRC-16/XMODEM.
std::uint16_t Checksum(const std::vector<std::uint8_t>& bytes, std::size_t count) {
  unsigned crc = 0;
  for (std::size_t i = 0; i < count; ++i) {
    crc ^= static_cast<unsigned>(bytes[i]) << 8;
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc & 0x8000U) != 0 ? (crc << 1) ^ 0x1021U : crc << 1;
    }
    crc &= 0xffffU;
  }
  return static_cast<std::uint16_t>(crc);
}

std::string EncodeChecked(std::vector<std::uint8_t> bytes) {
  const std::uint16_t crc = Checksum(bytes, bytes.size());
  bytes.push_back(static_cast<std::uint8_t>(crc & 0xff));
  bytes.push_back(static_cast<std::uint8_t>(crc >> 8));
  std::string text;
  unsigned bits = 0;
  int count = 0;
  for (const std::uint8_t byte : bytes) {
    bits = (bits << 8 | byte) & 0xffffU;
    for (count += 8; count >= 5; count -= 5) text += kAlphabet[bits >> (count - 5) & 31U];
  }
  if (count > 0) text += kAlphabet[bits << (5 - count) & 31U];
  return text;
}

std::optional<std::vector<std::uint8_t>> Decode(std::string_view text) {
  std::vector<std::uint8_t> bytes;
  unsigned bits = 0;
  int count = 0;
  for (const char c : text) {
    const std::size_t value = kAlphabet.find(c);
    if (value == std::string_view::npos) return std::nullopt;
    bits = (bits << 5 | static_cast<unsigned>(value)) & 0xffffU;
    if ((count += 5) < 8) continue;
    count -= 8;
    bytes.push_back(static_cast<std::uint8_t>(bits >> count & 0xffU));
  }
  return bytes;
}

}  // namespace

std::optional<NkeySeed> DecodeSeed(std::string_view text) {
  const auto bytes = Decode(text);
  if (!bytes || bytes->size() != kSeedBytes) return std::nullopt;
  if (((*bytes)[0] & 0xf8U) != kSeedMark) return std::nullopt;
  const unsigned told = (*bytes)[kSeedBytes - 2] | (*bytes)[kSeedBytes - 1] << 8;
  if (told != Checksum(*bytes, kSeedBytes - 2)) return std::nullopt;
  NkeySeed seed;
  seed.kind = static_cast<std::uint8_t>(((*bytes)[0] & 7U) << 5 | (*bytes)[1] >> 3);
  std::copy_n(bytes->begin() + 2, seed.key.size(), seed.key.begin());
  return seed;
}

std::string EncodeSeed(const NkeySeed& seed) {
  std::vector<std::uint8_t> bytes{static_cast<std::uint8_t>(kSeedMark | seed.kind >> 5),
                                  static_cast<std::uint8_t>((seed.kind & 31U) << 3)};
  bytes.insert(bytes.end(), seed.key.begin(), seed.key.end());
  return EncodeChecked(std::move(bytes));
}

std::string EncodePublicKey(std::uint8_t kind, const Ed25519Key& key) {
  std::vector<std::uint8_t> bytes{kind};
  bytes.insert(bytes.end(), key.begin(), key.end());
  return EncodeChecked(std::move(bytes));
}

}  // namespace lanekeeper::nats
