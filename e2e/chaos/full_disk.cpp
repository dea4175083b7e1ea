// No room left for JetStream: on a disk that is full, and in an account that is at its limit.
#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <thread>

#include "e2e/chaos/chaos_lane.h"
#include "e2e/chaos/scenarios.h"
#include "worker-runtime/nats/testing/nats_server.h"

namespace lanekeeper::e2e {
namespace {

using std::chrono::milliseconds;

constexpr std::chrono::seconds kFullFor{6};
constexpr const char* kBallastStream = "BALLAST";
constexpr std::size_t kMiB = 1024 * 1024;

nats::NatsServer RunServer(nats::NatsServerOptions options) {
  auto server = nats::NatsServer::Run(std::move(options));
  if (!server) throw std::runtime_error(server.error().message);
  return *std::move(server);
}

// A small file system in memory. Needs root.
class SmallDisk {
 public:
  explicit SmallDisk(std::filesystem::path folder) : folder_(std::move(folder)) {
    std::filesystem::create_directories(folder_);
    if (mount("tmpfs", folder_.c_str(), "tmpfs", 0, "size=64m") != 0) {
      throw std::runtime_error("mounting a small disk on " + folder_.string() + ": " +
                               std::strerror(errno) + "; run as root");
    }
  }
  ~SmallDisk() { umount2(folder_.c_str(), MNT_DETACH); }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  // To the last byte.
  void Fill() const {
    const int file = open(Ballast().c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) throw std::runtime_error("filling " + folder_.string());
    const std::string block(kMiB, 'x');
    for (std::size_t size = block.size(); size > 0;) {
      if (write(file, block.data(), size) <= 0) size /= 2;
    }
    close(file);
  }
  void Free() const { std::filesystem::remove(Ballast()); }

 private:
  std::filesystem::path Ballast() const { return folder_ / "ballast"; }

  const std::filesystem::path folder_;
};

// A third of the jobs, then no room for some seconds while others are published, then room again.
std::vector<Bar> RunOutOfRoom(ChaosLane& lane, const ScenarioOptions& options,
                              const std::string& what, const std::function<void()>& fill,
                              const std::function<void()>& free) {
  constexpr int kWorkers = 4;
  const std::vector<PlannedJob> jobs = PlanJobs({.jobs = options.jobs, .sleep_ms_max = 200});
  const auto middle = jobs.begin() + static_cast<std::ptrdiff_t>(jobs.size() / 2);
  Publisher early(lane.options().url, lane.key(), {jobs.begin(), middle});
  lane.KeepWorkers(kWorkers);
  lane.Await("a third of the early jobs are through", [&] {
    return early.Finished() && lane.Left() >= 0 &&
           lane.Left() < static_cast<std::int64_t>(early.accepted().size() * 2 / 3);
  });
  fill();
  lane.Say("no room left");
  Publisher late(lane.options().url, lane.key(), {middle, jobs.end()});
  std::this_thread::sleep_for(kFullFor);
  const int refused = late.Refused();
  free();
  lane.Say("room again; " + std::to_string(refused) + " publishes were refused meanwhile");
  lane.Drive(late, kWorkers, milliseconds(1000), [] {});
  late.Stop();
  std::vector<std::string> accepted = early.accepted();
  accepted.insert(accepted.end(), late.accepted().begin(), late.accepted().end());
  std::vector<Bar> bars = lane.Judge(accepted, what, 1);
  bars.push_back({.name = lane.options().scenario + ": publishes refused",
                  .value = static_cast<double>(refused),
                  .unit = "times",
                  .bar = 1.0,
                  .how = "while there was no room; each was accepted later",
                  .limit = Limit::kAtLeast});
  return bars;
}

std::vector<Bar> FillTheDisk(const ScenarioOptions& options) {
  const SmallDisk disk(options.folder / "disk");
  nats::NatsServer server = RunServer({.store_directory = options.folder / "disk" / "store"});
  ChaosLane lane(
      {.scenario = options.name + "/disk", .url = server.url(), .folder = options.folder / "logs"});
  return RunOutOfRoom(
      lane, options,
      "the disk of the store is full for 6 s (ENOSPC); then the server is started anew and the "
      "consumer made anew",
      [&] { disk.Fill(); },
      [&] {
        disk.Free();
        // A stream of nats-server 2.15 that met ENOSPC takes nothing more until it is opened anew,
        // and its consumer may have passed messages whose removal could not be stored.
        server.Stop();
        if (const auto started = server.Start(); !started) {
          throw std::runtime_error(started.error().message);
        }
        lane.RemakeConsumer();
      });
}

std::vector<Bar> ReachTheLimit(const ScenarioOptions& options) {
  const nats::NatsServer server =
      RunServer({.config = "accounts: {limited: {jetstream: {max_file: 64MB}, "
                           "users: [{user: chaos, password: chaos}]}}\nno_auth_user: chaos\n"});
  ChaosLane lane({.scenario = options.name + "/limit",
                  .url = server.url(),
                  .folder = options.folder / "limit"});
  const nats::JetStream& jetstream = lane.jetstream();
  const auto made =
      jetstream.CreateStream(kBallastStream, R"({"name":"BALLAST","subjects":["ballast"]})");
  if (!made) throw std::runtime_error(made.error().error.message);
  return RunOutOfRoom(
      lane, options, "the account is at its limit of stored bytes for 6 s",
      [&] {
        for (std::size_t size = kMiB / 2; size > 0;) {
          if (!jetstream.PublishAck("ballast", std::string(size, 'x'))) size /= 2;
        }
      },
      [&] {
        const auto removed = jetstream.DeleteStream(kBallastStream);
        if (!removed) throw std::runtime_error(removed.error().error.message);
      });
}

}  // namespace

std::vector<Bar> FillDisk(const ScenarioOptions& options) {
  std::vector<Bar> bars = FillTheDisk(options);
  for (Bar& bar : ReachTheLimit(options)) bars.push_back(std::move(bar));
  return bars;
}

}  // namespace lanekeeper::e2e
