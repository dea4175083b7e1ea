// What is in a .creds file, and the public half of an nkey. No I/O.
#pragma once

#include <string>
#include <string_view>

#include "worker-runtime/base/result.h"

namespace lanekeeper::nats {

// How a user proves to a server who it is: by a signature with the seed. Never logged.
struct Credentials {
  std::string jwt;   // Empty: the server knows the user by the public half of the seed.
  std::string seed;  // "SU…".
  bool operator==(const Credentials&) const = default;
};

// The text of a .creds file (a user JWT and a seed), or a seed alone. kInvalid says what is
// missing, without a word of the text.
Result<Credentials> ParseCredentials(std::string_view text);

// "U…" of "SU…". kInvalid: not the seed of an nkey.
Result<std::string> PublicKeyOf(std::string_view seed);

}  // namespace lanekeeper::nats
