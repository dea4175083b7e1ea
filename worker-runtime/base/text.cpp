#include "worker-runtime/base/text.h"

#include <algorithm>
#include <cstddef>

namespace lanekeeper {
namespace {

constexpr std::string_view kBase64 =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// How many bytes follow the first one of a UTF-8 sequence, and what the second may be.
struct Utf8Lead {
  int following;
  unsigned char second_min;
  unsigned char second_max;
};

// Table 3-7 of the Unicode Standard: no overlong forms, no surrogates, nothing above U+10FFFF.
std::optional<Utf8Lead> ReadLead(unsigned char lead) {
  if (lead >= 0xc2 && lead <= 0xdf) return Utf8Lead{1, 0x80, 0xbf};
  if (lead == 0xe0) return Utf8Lead{2, 0xa0, 0xbf};
  if (lead == 0xed) return Utf8Lead{2, 0x80, 0x9f};
  if (lead >= 0xe1 && lead <= 0xef) return Utf8Lead{2, 0x80, 0xbf};
  if (lead == 0xf0) return Utf8Lead{3, 0x90, 0xbf};
  if (lead >= 0xf1 && lead <= 0xf3) return Utf8Lead{3, 0x80, 0xbf};
  if (lead == 0xf4) return Utf8Lead{3, 0x80, 0x8f};
  return std::nullopt;
}

char Lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

}  // namespace

bool SameIgnoringCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](char x, char y) { return Lower(x) == Lower(y); });
}

bool StartsWithIgnoringCase(std::string_view text, std::string_view prefix) {
  return SameIgnoringCase(text.substr(0, prefix.size()), prefix);
}

std::uint64_t Fnv1a(std::string_view bytes, std::uint64_t hash) {
  for (const char c : bytes) {
    hash ^= static_cast<unsigned char>(c);
    hash *= 1099511628211ULL;
  }
  return hash;
}

std::string EncodeBase64(std::string_view bytes) {
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t n = 0; n < bytes.size(); n += 3) {
    std::uint32_t group = 0;
    for (std::size_t k = 0; k < 3; ++k) {
      group = group << 8 | (n + k < bytes.size() ? static_cast<unsigned char>(bytes[n + k]) : 0U);
    }
    for (std::size_t k = 0; k < 4; ++k) {
      text += n + k <= bytes.size() ? kBase64[group >> (18 - 6 * k) & 63] : '=';
    }
  }
  return text;
}

std::optional<std::string> DecodeBase64(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size() / 4 * 3);
  std::uint32_t buffer = 0;
  int bits = 0;
  for (const char c : text) {
    if (c == '=') break;
    const std::size_t value = kBase64.find(c);
    if (value == std::string_view::npos) return std::nullopt;
    buffer = buffer << 6 | static_cast<std::uint32_t>(value);
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      bytes += static_cast<char>(buffer >> bits & 0xff);
    }
  }
  return bytes;
}

bool IsUtf8Text(std::string_view bytes) {
  for (std::size_t n = 0; n < bytes.size();) {
    const auto lead_byte = static_cast<unsigned char>(bytes[n++]);
    if (lead_byte == 0) return false;
    if (lead_byte < 0x80) continue;
    const auto lead = ReadLead(lead_byte);
    if (!lead || bytes.size() - n < static_cast<std::size_t>(lead->following)) return false;
    for (int k = 0; k < lead->following; ++k, ++n) {
      const auto byte = static_cast<unsigned char>(bytes[n]);
      const unsigned char min = k == 0 ? lead->second_min : 0x80;
      const unsigned char max = k == 0 ? lead->second_max : 0xbf;
      if (byte < min || byte > max) return false;
    }
  }
  return true;
}

}  // namespace lanekeeper
