// The text form of nkeys: base 32 over a kind, an Ed25519 key and a checksum. Private to this room
// and its tests. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lanekeeper::nats {

using Ed25519Key = std::array<std::uint8_t, 32>;

// What the first letter of a public key says.
inline constexpr std::uint8_t kNkeyOperator = 14 << 3;  // 'O'
inline constexpr std::uint8_t kNkeyAccount = 0;         // 'A'
inline constexpr std::uint8_t kNkeyUser = 20 << 3;      // 'U'

struct NkeySeed {
  std::uint8_t kind = kNkeyUser;
  Ed25519Key key{};
};

// Nothing: it is none, or its checksum is wrong.
std::optional<NkeySeed> DecodeSeed(std::string_view text);
std::string EncodeSeed(const NkeySeed& seed);
std::string EncodePublicKey(std::uint8_t kind, const Ed25519Key& key);

}  // namespace lanekeeper::nats
