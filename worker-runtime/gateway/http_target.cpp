#include "worker-runtime/gateway/http_target.h"

#include <algorithm>
#include <charconv>
#include <system_error>

#include "worker-runtime/base/text.h"

namespace lanekeeper::gateway {
namespace {

constexpr std::size_t kExcerptBytesMax = 80;
constexpr std::size_t kRequestIdBytesMax = 128;

bool IsDigit(char c) { return c >= '0' && c <= '9'; }
bool IsAlphanumeric(char c) {
  return IsDigit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
bool IsControl(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return byte < ' ' || byte == 0x7f;
}

int HexDigit(char c) {
  if (IsDigit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Answer<std::string> Decode(std::string_view text) {
  std::string decoded;
  decoded.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '%') {
      const int high = i + 1 < text.size() ? HexDigit(text[i + 1]) : -1;
      const int low = i + 2 < text.size() ? HexDigit(text[i + 2]) : -1;
      if (high < 0 || low < 0) {
        return Refuse(ProblemType::kInvalidRequest,
                      "\"" + Excerpt(text) + "\" is not percent-encoded: write %25 for a '%'");
      }
      c = static_cast<char>(high * 16 + low);
      i += 2;
    }
    if (IsControl(c)) {
      return Refuse(ProblemType::kInvalidRequest,
                    "\"" + Excerpt(text) + "\" in the URL has a control character in it");
    }
    decoded += c;
  }
  return decoded;
}

// Calls `each` with the parts of `text` between separators, without the blanks around them.
template <typename Each>
void ForEachPart(std::string_view text, char separator, Each each) {
  while (true) {
    const std::size_t end = std::min(text.find(separator), text.size());
    std::string_view part = text.substr(0, end);
    while (!part.empty() && (part.front() == ' ' || part.front() == '\t')) part.remove_prefix(1);
    while (!part.empty() && (part.back() == ' ' || part.back() == '\t')) part.remove_suffix(1);
    each(part);
    if (end == text.size()) return;
    text.remove_prefix(end + 1);
  }
}

bool MediaRangeTakes(std::string_view range, std::string_view media) {
  const std::string type = MediaTypeOf(range);
  if (type == "*/*" || type == media) return true;
  const std::size_t slash = media.find('/');
  return type.size() == slash + 2 && type.ends_with("/*") &&
         media.substr(0, slash + 1) == std::string_view(type).substr(0, slash + 1);
}

// "text/html;q=0" says: not this one.
bool HasZeroWeight(std::string_view range) {
  bool zero = false;
  ForEachPart(range, ';', [&](std::string_view part) {
    if (!StartsWithIgnoringCase(part, "q=")) return;
    part.remove_prefix(2);
    zero = !part.empty() && part.find_first_not_of("0.") == std::string_view::npos;
  });
  return zero;
}

}  // namespace

Answer<HttpTarget> ParseTarget(std::string_view path, std::string_view query) {
  HttpTarget target;
  if (!path.empty() && path.front() == '/') path.remove_prefix(1);
  while (true) {
    const std::size_t end = std::min(path.find('/'), path.size());
    Answer<std::string> segment = Decode(path.substr(0, end));
    if (!segment) return tl::unexpected(std::move(segment).error());
    target.segments.push_back(*std::move(segment));
    if (end == path.size()) break;
    path.remove_prefix(end + 1);
  }
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    const std::string_view pair = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if (pair.empty()) continue;
    const std::size_t equals = std::min(pair.find('='), pair.size());
    Answer<std::string> name = Decode(pair.substr(0, equals));
    if (!name) return tl::unexpected(std::move(name).error());
    Answer<std::string> value = Decode(pair.substr(std::min(equals + 1, pair.size())));
    if (!value) return tl::unexpected(std::move(value).error());
    target.query.emplace_back(*std::move(name), *std::move(value));
  }
  return target;
}

std::string Excerpt(std::string_view text) {
  std::string excerpt(text.substr(0, kExcerptBytesMax));
  std::replace_if(excerpt.begin(), excerpt.end(), IsControl, '?');
  if (text.size() > kExcerptBytesMax) excerpt += "…";
  return excerpt;
}

Answer<std::optional<std::chrono::seconds>> ParsePreferWait(std::string_view prefer) {
  std::optional<std::string_view> wait;
  ForEachPart(prefer, ',', [&](std::string_view preference) {
    const std::string_view pair = preference.substr(0, preference.find(';'));
    const std::size_t equals = pair.find('=');
    std::string_view name = pair.substr(0, equals);
    while (!name.empty() && name.back() == ' ') name.remove_suffix(1);
    if (wait || !SameIgnoringCase(name, "wait")) return;
    wait = equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1);
  });
  if (!wait) return std::nullopt;
  std::string_view number = *wait;
  while (!number.empty() && (number.front() == ' ' || number.front() == '"')) {
    number.remove_prefix(1);
  }
  while (!number.empty() && (number.back() == ' ' || number.back() == '"')) number.remove_suffix(1);
  int seconds = -1;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), seconds);
  if (error != std::errc() || end != number.data() + number.size() || seconds < 0 ||
      std::chrono::seconds(seconds) > kPreferWaitMax) {
    return Refuse(ProblemType::kInvalidRequest,
                  "Prefer: wait=\"" + Excerpt(*wait) + "\" must be a number of seconds, 0 to 60");
  }
  return std::chrono::seconds(seconds);
}

bool Accepts(std::string_view accept, std::string_view media) {
  if (accept.empty() || media.empty()) return true;
  bool takes = false;
  ForEachPart(accept, ',', [&](std::string_view range) {
    takes = takes || (MediaRangeTakes(range, media) && !HasZeroWeight(range));
  });
  return takes;
}

std::string MediaTypeOf(std::string_view content_type) {
  std::string type;
  ForEachPart(content_type.substr(0, content_type.find(';')), ';',
              [&](std::string_view part) { type = part; });
  std::transform(type.begin(), type.end(), type.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return type;
}

bool IsRequestId(std::string_view text) {
  return !text.empty() && text.size() <= kRequestIdBytesMax &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return IsAlphanumeric(c) || c == '.' || c == '_' || c == '-'; });
}

std::string_view BearerToken(std::string_view authorization) {
  constexpr std::string_view kScheme = "bearer ";
  if (!StartsWithIgnoringCase(authorization, kScheme)) return {};
  std::string_view token = authorization.substr(kScheme.size());
  while (!token.empty() && token.front() == ' ') token.remove_prefix(1);
  while (!token.empty() && token.back() == ' ') token.remove_suffix(1);
  return token;
}

Answer<std::string> CallerToken(std::string_view authorization, std::string_view own) {
  if (!authorization.empty() && !own.empty() && BearerToken(authorization) != BearerToken(own)) {
    return Refuse(ProblemType::kInvalidRequest,
                  "Authorization and Lanekeeper-Authorization name different tokens; send one");
  }
  return std::string(BearerToken(own.empty() ? authorization : own));
}

bool NamesETag(std::string_view if_none_match, std::string_view etag) {
  bool named = false;
  ForEachPart(if_none_match, ',', [&](std::string_view tag) {
    if (tag.starts_with("W/")) tag.remove_prefix(2);
    named = named || tag == etag || tag == "*";
  });
  return named;
}

}  // namespace lanekeeper::gateway
