// A producer for the example pool (mixed.yaml): what web tiers do to a pool in a day, in a minute
// and a half. A minute of jobs of every kind, half a minute of rest, and again.
//
// It hands jobs in as a web tier does, over HTTP, or with the queue contract alone, over NATS.
#include <CLI/CLI.hpp>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "worker-runtime/base/result.h"
#include "worker-runtime/base/stop_signal.h"
#include "worker-runtime/client/client.h"
#include "worker-runtime/job/names.h"
#include "worker-runtime/nats/connection.h"
#include "worker-runtime/nats/jetstream.h"

namespace {

using namespace lanekeeper;  // NOLINT: a main file.

constexpr std::chrono::milliseconds kTick{500};
constexpr int kCycleTicks = 180;

struct Kind {
  const char* lane;
  const char* type;     // Of the example worker's handlers.
  const char* payload;  // Milliseconds for `sleep`.
  int count;
  // In ticks from the begin of a cycle.
  int first;
  int every;  // 0: once.
};

constexpr int kRestFrom = 120;
constexpr Kind kKinds[] = {
    // Somebody waits for these, all the time.
    {"short", "sleep", "400", 2, 0, 1},
    // They take long, and nobody else has to wait for them.
    {"long", "sleep", "20000", 2, 4, 0},
    {"long", "sleep", "30000", 1, 16, 0},
    {"long", "sleep", "40000", 1, 24, 0},
    // More than the two workers that the lane may have.
    {"gpu", "sleep", "5000", 6, 6, 0},
    // A burst now and then.
    {"short", "sleep", "1500", 150, 16, 60},
    // Fail once, and are retried.
    {"short", "flaky", "2", 3, 30, 60},
    // Never works: a dead letter.
    {"short", "poison", "{\"page\":", 1, 40, 0},
};

bool IsDue(const Kind& kind, int tick) {
  const int at = tick % kCycleTicks;
  if (at < kind.first || at >= kRestFrom) return false;
  return kind.every == 0 ? at == kind.first : (at - kind.first) % kind.every == 0;
}

struct Options {
  std::string gateway;
  std::string state;
  std::string nats = "nats://127.0.0.1:4222";
  std::string pool_namespace = "studio";
  std::string pool = "media";
};

// Hands in `kind.count` jobs of a kind, or says what went wrong with the last that failed.
using HandIn = std::function<Result<void>(const Kind& kind)>;

Result<void> SubmitTo(Client& client, const Options& options, const Kind& kind) {
  const std::vector<NewJob> jobs(static_cast<std::size_t>(kind.count),
                                 {.type = kind.type, .payload = kind.payload, .lane = kind.lane});
  Result<void> result;
  for (const auto& job : client.SubmitMany({options.pool_namespace, options.pool}, jobs)) {
    if (!job) result = Fail(job.error().kind, job.error().message);
  }
  return result;
}

Result<std::unique_ptr<Client>> ConnectTo(const std::string& url) {
  return Client::Create({.url = url, .timeout = std::chrono::seconds(3)});
}

Result<HandIn> OverHttp(const Options& options) {
  Result<std::unique_ptr<Client>> made = ConnectTo(options.gateway);
  if (!made) return Wrap(std::move(made).error(), "--gateway");
  const std::shared_ptr<Client> client(*std::move(made));
  return [client, options](const Kind& kind) { return SubmitTo(*client, options, kind); };
}

// `lanekeeper up` may start later than this, and again on another port.
HandIn OverLocalHttp(const Options& options) {
  return [options](const Kind& kind) -> Result<void> {
    std::string url;
    if (!std::getline(std::ifstream(options.state + "/gateway"), url)) return {};
    const Result<std::unique_ptr<Client>> client = ConnectTo(url);
    if (!client) return tl::unexpected(client.error());
    return SubmitTo(**client, options, kind);
  };
}

Result<HandIn> OverNats(const Options& options) {
  Result<std::unique_ptr<nats::Connection>> made =
      nats::Connection::Open({.url = options.nats, .name = "example-producer"});
  if (!made) return Wrap(std::move(made).error(), "--nats");
  const std::shared_ptr<nats::Connection> connection(*std::move(made));
  const auto run = std::to_string(std::random_device{}());
  return [=, published = 0](const Kind& kind) mutable {
    Result<void> result;
    for (int n = 0; n < kind.count; ++n) {
      const std::string id = run + "-" + std::to_string(++published);
      const auto stored =
          nats::JetStream(*connection)
              .PublishAck(
                  JobSubject({options.pool_namespace, options.pool, kind.lane}), kind.payload,
                  {{std::string(kHeaderMessageId), id}, {std::string(kHeaderType), kind.type}});
      if (!stored) result = tl::unexpected(stored.error().error);
    }
    return result;
  };
}

Result<HandIn> Choose(const Options& options) {
  if (!options.state.empty()) return OverLocalHttp(options);
  return options.gateway.empty() ? OverNats(options) : OverHttp(options);
}

}  // namespace

int main(int argc, char** argv) {
  StopSignal stop;
  Options options;
  CLI::App app{"Hands jobs to the lanes short, long and gpu of a pool until it is stopped."};
  auto* const gateway = app.add_option("--gateway", options.gateway, "URL of a gateway");
  auto* const state = app.add_option("--state", options.state,
                                     "State folder of lanekeeper up: hands in at its gateway")
                          ->excludes(gateway);
  app.add_option("--nats", options.nats, "URL of a NATS server")
      ->excludes(gateway)
      ->excludes(state)
      ->capture_default_str();
  app.add_option("--namespace", options.pool_namespace, "Namespace of the pool")
      ->capture_default_str();
  app.add_option("--pool", options.pool, "Name of the pool")->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  Result<HandIn> hand_in = Choose(options);
  if (!hand_in) {
    std::fprintf(stderr, "lanekeeper-example-producer: %s\n", hand_in.error().message.c_str());
    return 1;
  }
  for (int tick = 0; !stop.WaitFor(kTick); ++tick) {
    for (const Kind& kind : kKinds) {
      if (!IsDue(kind, tick)) continue;
      if (const Result<void> done = (*hand_in)(kind); !done) {
        std::fprintf(stderr, "lane %s: %s\n", kind.lane, done.error().message.c_str());
      }
    }
  }
  return 0;
}
