// The bodies that go to a gateway and come from it. Pure.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "worker-runtime/base/result.h"
#include "worker-runtime/client/client.h"

namespace lanekeeper::client {

// One line of JSON; the payload travels as base64, so that its bytes arrive as they are. Headers,
// type and lane have to be UTF-8: kInvalid names what is not.
Result<std::string> WriteNewJob(const NewJob& job, std::string_view idempotency_key);

// kRetryable, when the text is not what a gateway answers: something else stands before it.
Result<SubmittedJob> ReadSubmittedJob(std::string_view json);
Result<JobStatus> ReadJobStatus(std::string_view json);

// The error of an answer that is not a success, its problem where the body is one.
ClientError ReadProblem(int status, std::optional<std::chrono::seconds> retry_after,
                        std::string_view body);

// One line of the answer to a bulk submit.
struct BulkLine {
  std::size_t line = 1;  // Which of the request's lines, from 1.
  ClientResult<SubmittedJob> result;
};
Result<BulkLine> ReadBulkLine(std::string_view json);

}  // namespace lanekeeper::client
