// A handler that sends its jobs to an HTTP server, most often a container in the same pod:
// `lanekeeper-worker --http-url`.
//
// POST with the payload as body; the status decides. HANDLERS.md is the contract.
#pragma once

#include <chrono>
#include <string>

#include "worker-runtime/base/result.h"
#include "worker-runtime/job/handler_registry.h"

namespace lanekeeper::handlers {

struct HttpOptions {
  std::string url;  // "http://127.0.0.1:8080/jobs"
  // How long a job waits for a server that cannot be reached. Then it is Failed, class
  // "connection".
  std::chrono::milliseconds start_deadline{60000};
};

// kInvalid when the URL is none, or not http.
//
// A request ends with its job: told to stop, the handler closes the connection and returns
// Interrupted. A connection that ends without an answer is Crashed: the server died under the job.
// Starts no thread before the first job; then it sizes cpprestsdk's pool, unless somebody has.
Result<Handler> MakeHttpHandler(HttpOptions options);

}  // namespace lanekeeper::handlers
