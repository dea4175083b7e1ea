// Compare-and-swap on a KV bucket.
#pragma once

namespace lanekeeper::nats {

// A write with this header is stored only while its value is the sequence of the subject's last
// message, which is the revision of its key; 0: there is none.
inline constexpr const char* kHeaderExpectedRevision = "Nats-Expected-Last-Subject-Sequence";

}  // namespace lanekeeper::nats
