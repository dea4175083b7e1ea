// A worker in C++: the handlers of example_handlers.h on the lane its environment names.
//
//   LANEKEEPER_NATS_URL=nats://localhost:4222 LANEKEEPER_NAMESPACE=studio LANEKEEPER_POOL=media
//   LANEKEEPER_LANE=short lanekeeper-example-worker
//
// With EXAMPLE_RESULTS_SUBJECT=<subject>, a stream's, each successful run is recorded there.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "worker-runtime/examples/example_handlers.h"
#include "worker-runtime/nats/connection.h"
#include "worker-runtime/nats/jetstream.h"
#include "worker-runtime/runner/worker.h"

namespace {

using namespace lanekeeper;  // NOLINT: a main file.

examples::Recorder RecordOn(nats::Connection& connection, const std::string& subject) {
  return [&connection, subject](const std::string& json) -> Result<void> {
    const auto stored = nats::JetStream(connection).PublishAck(subject, json);
    if (stored) return {};
    Error error = stored.error().error;
    // A stream between two leaders answers as one that does not exist: worth another try as well.
    if (error.kind == ErrorKind::kNotFound) error.kind = ErrorKind::kRetryable;
    return tl::unexpected(std::move(error));
  };
}

}  // namespace

int main() {
  const Result<WorkerOptions> options = ReadWorkerOptions();
  if (!options) {
    std::fprintf(stderr, "lanekeeper-example-worker: %s\n", options.error().message.c_str());
    return 2;
  }
  Worker worker(*options);

  examples::ExampleOptions example{.lane = options->lane.lane, .worker = options->worker};
  std::unique_ptr<nats::Connection> results;
  if (const char* subject = std::getenv("EXAMPLE_RESULTS_SUBJECT"); subject != nullptr) {
    auto connection = nats::Connection::Open({.url = options->nats_url,
                                              .name = "lanekeeper-example-results",
                                              .credentials_file = options->nats_credentials,
                                              .tls = options->nats_tls});
    if (!connection) {
      std::fprintf(stderr, "lanekeeper-example-worker: %s\n", connection.error().message.c_str());
      return 2;
    }
    results = *std::move(connection);
    example.record = RecordOn(*results, subject);
  }
  examples::AddExampleHandlers(example, [&worker](std::string type, Handler handler) {
    worker.Handle(std::move(type), std::move(handler));
  });
  return worker.Run();
}
