// Users and accounts of a test server: nkeys, and JWTs as an operator would sign them.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace lanekeeper::nats {

struct Nkey {
  std::string seed;         // "SU…"
  std::string public_half;  // "U…"
};

// `kind`: 'O'perator, 'A'ccount, 'U'ser.
Nkey MakeNkey(char kind);

// An operator with accounts, each with JetStream and without limits.
class JwtOperator {
 public:
  explicit JwtOperator(const std::vector<std::string>& accounts);

  // For NatsServerOptions::config.
  std::string Config() const;
  // The text of a .creds file.
  std::string NewUser(const std::string& account, const std::string& name = "user") const;

 private:
  Nkey operator_key_;
  Nkey system_;
  std::map<std::string, Nkey> accounts_;
};

// For NatsServerOptions::config: accounts of a configuration file, with JetStream, whose users are
// known by their nkeys' public halves.
std::string AccountsConfig(const std::map<std::string, std::vector<std::string>>& users);

}  // namespace lanekeeper::nats
