// The fields of a submission, one by one: what both of its forms have in common. Pure. Private to
// submission*.cpp.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "worker-runtime/gateway/submission.h"

namespace lanekeeper::gateway {

tl::unexpected<Problem> Invalid(std::string detail);
// What a stranger wrote, fit to be repeated in an answer: short, and on one line.
std::string Shown(std::string_view text);
// Nothing unless it is base64 to its end.
std::optional<std::string> DecodeBase64Strictly(std::string_view text);

// `field`: type, lane, deadline, timeout or idempotency_key.
Answer<void> SetSubmissionField(Submission& submission, std::string_view field, std::string value);

// Refuses names and values that could be read as anything else than one header of a message, names
// that have a meaning for the queue or its server, and more than the limits.
Answer<void> AddUserHeader(Headers& headers, std::string name, std::string value);

}  // namespace lanekeeper::gateway
