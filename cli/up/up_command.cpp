#include "cli/up/up_command.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "cli/up/lane_board.h"
#include "cli/up/local_pool_board.h"
#include "cli/up/screen.h"
#include "cli/up/up_gateway.h"
#include "operator/control/control_loop.h"
#include "operator/jetstream/jetstream_lane_probe.h"
#include "operator/jetstream/jetstream_ledger.h"
#include "operator/jetstream/jetstream_pool_board.h"
#include "operator/jetstream/jetstream_queues.h"
#include "operator/kubernetes/worker_pool_json.h"
#include "operator/local/file_pool_source.h"
#include "operator/local/local_nats.h"
#include "operator/local/local_platform.h"
#include "operator/local/state_folder.h"
#include "operator/manifest/manifest.h"
#include "operator/scaling/wording.h"
#include "worker-runtime/base/log.h"
#include "worker-runtime/base/settings.h"
#include "worker-runtime/nats/connection.h"
#include "worker-runtime/nats/server_binary.h"

namespace lanekeeper::up {
namespace {

using std::chrono::milliseconds;

constexpr std::chrono::seconds kConnectDeadline{10};
// Our own server listens: it answers, unless the machine stands still.
constexpr std::chrono::seconds kOwnConnectDeadline{30};
constexpr milliseconds kShowInterval{100};
constexpr milliseconds kStartInterval{5};  // While the gateway waits for the pools.
// A pool whose queue cannot be made does not keep the gateway from the others for longer, once
// there is no more to be seen of these.
constexpr std::chrono::seconds kPoolsDeadline{10};

std::string OwnFolder() {
  std::error_code failed;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", failed);
  return failed ? "" : self.parent_path().string();
}

// Where people find the address; never with the password of a URL.
std::string WithoutCredentials(const std::string& url) {
  const std::size_t at = url.rfind('@');
  const std::size_t scheme = url.find("://");
  if (at == std::string::npos || scheme == std::string::npos || at < scheme) return url;
  return url.substr(0, scheme + 3) + url.substr(at + 1);
}

// The pools of the manifest. One that cannot be worked with at the start is a mistake, not
// something to wait for.
Result<std::vector<PoolKey>> CheckManifest(const std::string& path) {
  const std::optional<std::string> text = ReadWholeFile(path);
  if (!text) return Fail(ErrorKind::kInvalid, "cannot read the manifest " + path);
  const Result<Manifest> manifest = ReadManifest(*text);
  if (!manifest) return Wrap(manifest.error(), path);
  std::vector<PoolKey> pools;
  for (const ManifestPool& pool : manifest->pools) {
    if (!pool.pool) return Wrap(pool.pool.error(), path + ": " + ToString(pool.key));
    pools.push_back(pool.key);
  }
  return pools;
}

Result<std::unique_ptr<LocalNats>> StartNats(const UpOptions& options, const StateFolder& state) {
  if (!options.nats_url.empty()) return nullptr;
  Result<std::string> binary = nats::FindServerBinary(OwnFolder());
  if (!binary) {
    return Wrap(std::move(binary).error(),
                "looking for nats-server (2.12 or newer; or give a running one with --nats)");
  }
  return LocalNats::Start(
      {.folder = state.nats(), .binary = *std::move(binary), .port = options.port});
}

// A table and log lines cannot share a terminal.
void SendLogToFile(const std::string& path) {
  if (std::freopen(path.c_str(), "w", stderr) == nullptr) log::SetLevel(log::Level::kError);
}

Result<void> SetLogLevel() {
  Settings settings;
  const std::string level = settings.Text("LANEKEEPER_LOG_LEVEL", "warning");
  if (log::SetLevel(level)) return {};
  return Fail(ErrorKind::kInvalid, "LANEKEEPER_LOG_LEVEL is \"" + level +
                                       "\"; it must be debug, info, warning or error");
}

// What the parts of a run are made from.
struct Ground {
  const StateFolder& state;
  nats::Connection& connection;
  std::string nats_url;
  int gateway_port = 0;
  std::vector<PoolKey> pools;  // Of the manifest, at the start.
};

// Everything that runs, joined.
class Up {
 public:
  Up(const UpOptions& options, const Ground& ground)
      : pools_(ground.pools),
        source_(options.manifest,
                [this](const PoolKey& key, const Error& why) {
                  board_.Note(ToString(key) + ": the manifest is not used: " + why.message +
                              ". Everything stays as it is until it is corrected.");
                }),
        probe_(ground.connection, clock_),
        queues_(ground.connection),
        ledger_(ground.connection),
        stored_pools_(ground.connection, {.status_json = kubernetes::StatusToJson}),
        pool_board_(stored_pools_, /*shared=*/!options.nats_url.empty()),
        platform_(clock_, PlatformOptions(ground.state, ground.nats_url)),
        loop_(source_, probe_, queues_, platform_, clock_, &board_, &ledger_, &pool_board_),
        gateway_(ground.connection, ground.gateway_port, ground.state.gateway()) {}

  // Until `stop`. An error is one of the gateway's start.
  Result<void> Run(StopSignal& stop, const std::vector<std::string>& greeting) {
    for (const std::string& line : greeting) board_.Note(line);
    ledger_.Start();
    stored_pools_.Start();
    platform_.Start([this](const PoolKey& key) { loop_.Poke(key); });
    loop_.Start();
    Result<void> opened = OpenGateway(stop);
    while (opened && !stopping_) ShowFor(stop, kShowInterval);
    Drain(stop);
    return opened;
  }

 private:
  void ShowFor(StopSignal& stop, milliseconds time) {
    screen_.Show(board_.TakeNotes(), board_.Rows());
    if (stop.WaitFor(time)) stopping_ = true;
  }

  // Until nothing is `left`, or it has not become less for a while.
  void ShowUntilNone(StopSignal& stop, const std::function<std::size_t()>& left) {
    std::size_t least = std::numeric_limits<std::size_t>::max();
    MonotonicTime deadline = clock_.Now() + kPoolsDeadline;
    while (!stopping_ && clock_.Now() < deadline) {
      const std::size_t now = left();
      if (now == 0) return;
      if (now < std::exchange(least, std::min(least, now)))
        deadline = clock_.Now() + kPoolsDeadline;
      ShowFor(stop, kStartInterval);
    }
  }

  // After the pools: whoever finds the gateway can hand in jobs.
  Result<void> OpenGateway(StopSignal& stop) {
    ShowUntilNone(stop, [this] { return pool_board_.Unstored(pools_); });
    if (stopping_) return {};
    if (Result<void> opened = gateway_.Open(); !opened) return opened;
    ShowUntilNone(stop, [this] { return gateway_.Ready() ? std::size_t{0} : std::size_t{1}; });
    if (Result<void> announced = gateway_.Announce(); !announced) return announced;
    board_.Note("Gateway     " + gateway_.url());
    return {};
  }

  LocalPlatformOptions PlatformOptions(const StateFolder& state, const std::string& nats_url) {
    return {.nats_url = nats_url,
            .status_folder = state.status(),
            .logs_folder = state.logs(),
            .programs_folder = OwnFolder(),
            .reported = [this](const LaneKey& key) { return probe_.Workers(key); },
            .on_left_out =
                [this](const PoolKey& key, const std::string& sentence) {
                  board_.Note(ToString(key) + ": " + sentence);
                },
            .on_event =
                [this](const PoolKey& key, const PoolEvent& event) {
                  // At the first start the queues are about to be made, and the table says so.
                  const bool first = event.reason == ReasonOf(scaling::Doubt::kConsumerMissing);
                  if (event.warning && !first) board_.Note(ToString(key) + ": " + event.message);
                },
            .on_let_go = [this](const PoolKey& key) { source_.LetGo(key); }};
  }

  void Drain(StopSignal& stop) {
    gateway_.Drain();
    loop_.Stop();
    platform_.EndAll();
    const int workers = platform_.Alive();
    std::vector<std::string> notes;
    if (workers > 0) {
      notes.push_back("Ending " + std::to_string(workers) +
                      (workers == 1 ? " worker" : " workers") +
                      " when their jobs are done; Ctrl-C again ends them at once.");
    }
    screen_.Show(notes, board_.Rows());
    while (platform_.Alive() > 0) {
      if (stop.WaitFor(kShowInterval)) platform_.KillAll();
    }
    gateway_.Close();
    platform_.Stop();
    ledger_.Stop();
    stored_pools_.Stop();
    screen_.Show({"All workers have ended. Jobs that are not done wait in the queue."},
                 board_.Rows());
  }

  const std::vector<PoolKey> pools_;
  SystemClock clock_;
  LaneBoard board_;
  Screen screen_;
  bool stopping_ = false;
  FilePoolSource source_;
  JetStreamLaneProbe probe_;
  JetStreamQueues queues_;
  JetStreamLedger ledger_;
  JetStreamPoolBoard stored_pools_;
  LocalPoolBoard pool_board_;
  LocalPlatform platform_;
  ControlLoop loop_;
  UpGateway gateway_;
};

}  // namespace

const char* const kUpDescription =
    "Runs the pools of a manifest on this machine: the operator, a gateway, workers as processes,\n"
    "and a nats-server of its own. The same manifest that kubectl apply takes. Ctrl-C lets the\n"
    "workers finish their jobs; what is not done waits in the queue for the next time.";

const char* const kUpExamples =
    "Examples:\n"
    "  lanekeeper up e2e/examples/mixed.yaml\n"
    "  lanekeeper up pool.yaml --port 4222 --gateway-port 8090\n"
    "  lanekeeper up pool.yaml --nats nats://127.0.0.1:4222";

void AddUpFlags(CLI::App& app, UpOptions& options) {
  app.add_option("manifest", options.manifest,
                 "a YAML file with one WorkerPool or more; looked "
                 "at again when it changes")
      ->required();
  auto* nats = app.add_option("--nats", options.nats_url,
                              "URL of a running NATS server; else one is started");
  app.add_option("--port", options.port, "of that server, on 127.0.0.1; 0 is a free one")
      ->check(CLI::Range(0, 65535))
      ->excludes(nats)
      ->capture_default_str();
  app.add_option("--gateway-port", options.gateway_port,
                 "of the gateway, on 127.0.0.1; 0 is a free one; without it " +
                     std::to_string(kGatewayPort) + ", or a free one where that is taken")
      ->check(CLI::Range(0, 65535));
  app.add_option("--state", options.state, "folder for jobs, status and the workers' output")
      ->capture_default_str();
}

Result<void> RunUp(const UpOptions& options, StopSignal& stop) {
  if (Result<void> level = SetLogLevel(); !level) return level;
  Result<std::vector<PoolKey>> pools = CheckManifest(options.manifest);
  if (!pools) return tl::unexpected<Error>(std::move(pools).error());
  Result<StateFolder> state = StateFolder::Open(options.state);
  if (!state) return tl::unexpected<Error>(std::move(state).error());
  if (isatty(STDOUT_FILENO) == 1 && isatty(STDERR_FILENO) == 1) {
    SendLogToFile(state->path() + "/lanekeeper.log");
  }
  // Of one that was killed.
  std::error_code ignored;
  std::filesystem::remove(state->gateway(), ignored);
  const Result<int> gateway_port = FindGatewayPort(options.gateway_port);
  if (!gateway_port) return tl::unexpected<Error>(gateway_port.error());
  Result<std::unique_ptr<LocalNats>> server = StartNats(options, *state);
  if (!server) return tl::unexpected<Error>(std::move(server).error());
  const std::string url = *server ? (*server)->url() : options.nats_url;

  // The gateway's submits want their writes together.
  Result<std::unique_ptr<nats::Connection>> connection =
      nats::Connection::Open({.url = url,
                              .name = "lanekeeper-up",
                              .writes = nats::ConnectOptions::Writes::kTogether,
                              .shared_delivery = true});
  if (!connection) return Wrap(std::move(connection).error(), "--nats");
  if (!(*connection)->WaitConnected(*server ? kOwnConnectDeadline : kConnectDeadline)) {
    return Fail(ErrorKind::kRetryable, "no connection to " + WithoutCredentials(url) + ": " +
                                           (*connection)->LastError() + "; see --nats");
  }
  Result<void> ran =
      Up(options, {*state, **connection, url, *gateway_port, *std::move(pools)})
          .Run(stop, {"NATS        " + WithoutCredentials(url), "Worker logs " + state->logs(),
                      "Ctrl-C ends it; jobs that are not done wait in the queue."});
  (*connection)->Close();
  if (*server) (*server)->Stop();
  return ran;
}

}  // namespace lanekeeper::up
