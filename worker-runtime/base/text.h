// Bytes as text, for formats that carry only text.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace lanekeeper {

std::string EncodeBase64(std::string_view bytes);
// Nothing for a character that is none of base64's; padding may be missing.
std::optional<std::string> DecodeBase64(std::string_view text);

// Valid UTF-8 without NUL: what JSON can carry as it is.
bool IsUtf8Text(std::string_view bytes);

}  // namespace lanekeeper
