// Result<T>: a value, or the Error that explains why there is none.
//
// An alias for tl::expected. Once the toolchain has std::expected (g++ 12 does not), only this file
// changes.
#pragma once

#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

namespace lanekeeper {

// What the caller may do about an error, not where it came from.
enum class ErrorKind {
  kRetryable,  // Transient: network, timeout, conflict. Trying again later may work.
  kNotFound,   // The named thing does not exist (or no longer does).
  kInvalid,    // The input is wrong. Trying again unchanged cannot work.
  kForbidden,  // Credentials or permissions. A person has to act.
};

std::string_view ToString(ErrorKind kind);

struct Error {
  ErrorKind kind = ErrorKind::kRetryable;
  std::string message;  // A clause, no capital, no full stop: "reading consumer emails: timeout".
  bool operator==(const Error&) const = default;
};

template <typename T>
using Result = tl::expected<T, Error>;

// `return Fail(ErrorKind::kInvalid, "lane short: slots must be at least 1");`
inline tl::unexpected<Error> Fail(ErrorKind kind, std::string message) {
  return tl::unexpected<Error>(Error{kind, std::move(message)});
}

// Hands an error on with what the caller was doing in front of it:
// `return Wrap(std::move(result).error(), "scaling studio/media");`
inline tl::unexpected<Error> Wrap(Error error, std::string_view what) {
  error.message.insert(0, std::string(what) + ": ");
  return tl::unexpected<Error>(std::move(error));
}

}  // namespace lanekeeper
