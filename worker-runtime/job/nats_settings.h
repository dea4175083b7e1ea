// Settings of the connection to NATS that every program of Lanekeeper takes, beside kEnvNatsUrl and
// kEnvNatsCredentials (names.h). Pure.
#pragma once

namespace lanekeeper {

// PEM files; read again when they change.
inline constexpr const char* kEnvNatsTlsCa = "LANEKEEPER_NATS_TLS_CA";
inline constexpr const char* kEnvNatsTlsCert = "LANEKEEPER_NATS_TLS_CERT";
inline constexpr const char* kEnvNatsTlsKey = "LANEKEEPER_NATS_TLS_KEY";

}  // namespace lanekeeper
