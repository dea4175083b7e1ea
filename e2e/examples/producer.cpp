// A producer for the example pool: short jobs in waves, long jobs now and then, a poison job once a
// minute. What a web tier would do, with the queue contract alone.
#include <CLI/CLI.hpp>

#include <chrono>
#include <cstdio>
#include <random>
#include <string>

#include "worker-runtime/base/stop_signal.h"
#include "worker-runtime/job/names.h"
#include "worker-runtime/nats/connection.h"
#include "worker-runtime/nats/jetstream.h"

namespace {

using namespace lanekeeper;

struct Kind {
  const char* lane;
  const char* type;
  const char* payload;  // Milliseconds for `sleep`.
  int every_ticks;      // A tick is 500 ms.
  int count;
};

// Enough short jobs for several workers every 20 s, and a few of everything else.
constexpr Kind kKinds[] = {
    {"short", "sleep", "400", 1, 2},           {"short", "sleep", "1500", 40, 150},
    {"long", "sleep", "20000", 30, 2},         {"gpu", "sleep", "8000", 24, 1},
    {"short", "poison", "{\"page\":", 120, 1},
};

class Producer {
 public:
  Producer(nats::Connection& connection, std::string pool_namespace, std::string pool)
      : jetstream_(connection), namespace_(std::move(pool_namespace)), pool_(std::move(pool)) {}

  void Tick(int tick) {
    for (const Kind& kind : kKinds) {
      if (tick % kind.every_ticks != 0) continue;
      for (int n = 0; n < kind.count; ++n) Publish(kind);
    }
  }

 private:
  void Publish(const Kind& kind) {
    const std::string id = std::to_string(run_) + "-" + std::to_string(++published_);
    const auto ack = jetstream_.PublishAck(
        JobSubject({namespace_, pool_, kind.lane}), kind.payload,
        {{std::string(kHeaderMessageId), id}, {std::string(kHeaderType), kind.type}});
    if (!ack) {
      std::fprintf(stderr, "lane %s: %s\n", kind.lane, ack.error().error.message.c_str());
    }
  }

  nats::JetStream jetstream_;
  std::string namespace_;
  std::string pool_;
  std::uint32_t run_ = std::random_device{}();
  std::int64_t published_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
  StopSignal stop;
  std::string url = "nats://127.0.0.1:4222";
  std::string pool_namespace = "studio";
  std::string pool = "media";
  CLI::App app{"Publishes jobs to the lanes short, long and gpu of a pool until it is stopped."};
  app.add_option("--nats", url, "URL of the NATS server")->capture_default_str();
  app.add_option("--namespace", pool_namespace, "Namespace of the pool")->capture_default_str();
  app.add_option("--pool", pool, "Name of the pool")->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  const auto connection = nats::Connection::Open({.url = url, .name = "example-producer"});
  if (!connection) {
    std::fprintf(stderr, "connecting to NATS: %s\n", connection.error().message.c_str());
    return 1;
  }
  Producer producer(**connection, pool_namespace, pool);
  for (int tick = 0; !stop.WaitFor(std::chrono::milliseconds(500)); ++tick) producer.Tick(tick);
  return 0;
}
