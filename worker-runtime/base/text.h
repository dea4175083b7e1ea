// Small questions about text, and bytes as text for formats that carry only that. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace lanekeeper {

std::string EncodeBase64(std::string_view bytes);
// Nothing for a character that is none of base64's; padding may be missing.
std::optional<std::string> DecodeBase64(std::string_view text);

// Valid UTF-8 without NUL: what JSON can carry as it is.
bool IsUtf8Text(std::string_view bytes);

// Of ASCII letters, as header names are compared.
bool SameIgnoringCase(std::string_view a, std::string_view b);
bool StartsWithIgnoringCase(std::string_view text, std::string_view prefix);

// FNV-1a, 64 bits: the same on every machine and in every version, unlike std::hash. No secret.
inline constexpr std::uint64_t kFnv1aBasis = 14695981039346656037ULL;
std::uint64_t Fnv1a(std::string_view bytes, std::uint64_t hash = kFnv1aBasis);

}  // namespace lanekeeper
