// The wall clock of every worker jumps by an hour, ahead and back, while leases are held.
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <fstream>
#include <stdexcept>

#include "e2e/chaos/chaos_lane.h"
#include "e2e/chaos/scenarios.h"
#include "worker-runtime/base/clock.h"
#include "worker-runtime/job/rfc3339.h"
#include "worker-runtime/nats/testing/nats_server.h"

namespace lanekeeper::e2e {
namespace {

constexpr long kHour = 3600;

// Runs that began in another hour than this machine's, by their own account.
int ShiftedRuns(const ChaosLane& lane) {
  const WallTime now = SystemClock().WallNow();
  int shifted = 0;
  for (std::uint64_t number = 1; number <= static_cast<std::uint64_t>(lane.Results()); ++number) {
    const auto started = ParseRfc3339(lane.Result(number).value("started", ""));
    if (started && std::chrono::abs(now - *started) > std::chrono::minutes(30)) ++shifted;
  }
  return shifted;
}

// The number of seconds that clock_shift.c reads in the workers.
class ClockShift {
 public:
  explicit ClockShift(std::filesystem::path path) : path_(std::move(path)) {
    const int file = open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    const bool sized = file >= 0 && ftruncate(file, sizeof(long)) == 0;
    void* mapped = sized ? mmap(nullptr, sizeof(long), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0)
                         : MAP_FAILED;
    if (file >= 0) close(file);
    if (mapped == MAP_FAILED) throw std::runtime_error("making " + path_.string());
    seconds_ = static_cast<volatile long*>(mapped);
  }
  ~ClockShift() { munmap(const_cast<long*>(seconds_), sizeof(long)); }
  ClockShift(const ClockShift&) = delete;
  ClockShift& operator=(const ClockShift&) = delete;

  void Set(long seconds) { *seconds_ = seconds; }
  Environment WorkerEnvironment() const {
    return {{"LD_PRELOAD", ProgramBesideThis("liblanekeeper-clock-shift.so")},
            {"CLOCK_SHIFT_FILE", path_}};
  }

 private:
  const std::filesystem::path path_;
  volatile long* seconds_ = nullptr;
};

}  // namespace

std::vector<Bar> ShiftClock(const ScenarioOptions& options) {
  auto server = nats::NatsServer::Run();
  if (!server) throw std::runtime_error(server.error().message);
  std::filesystem::create_directories(options.folder);
  ClockShift clock(options.folder / "clock");
  ChaosLane lane({.scenario = options.name,
                  .url = server->url(),
                  .folder = options.folder,
                  .worker = clock.WorkerEnvironment()});
  // Some that need their lease renewed again and again, in front of many that do not.
  std::vector<PlannedJob> jobs;
  for (int n = 0; n < 4; ++n) jobs.push_back({"sleep-long-" + std::to_string(n), "sleep", "7000"});
  for (PlannedJob& job : PlanJobs({.jobs = options.jobs, .sleep_ms_max = 200})) {
    jobs.push_back(std::move(job));
  }
  Publisher publisher(server->url(), lane.key(), std::move(jobs));
  int jumps = 0;
  lane.Drive(publisher, 4, std::chrono::milliseconds(700), [&] {
    constexpr long kShifts[] = {kHour, 0, -kHour, kHour};
    clock.Set(kShifts[++jumps % 4]);
  });
  publisher.Stop();
  std::vector<Bar> bars = lane.Judge(
      publisher.accepted(), "the workers' wall clock jumps by 1 h or 2 h, both ways", jumps);
  // Nobody died and nobody lost a lease, so there is no excuse for a second run.
  for (Bar& bar : bars) {
    if (!bar.bar) bar.bar = 0;
  }
  bars.push_back({.name = options.name + ": runs in another hour",
                  .value = static_cast<double>(ShiftedRuns(lane)),
                  .unit = "jobs",
                  .bar = 1.0,
                  .how = "by the times that the handlers wrote down: the clocks did jump",
                  .limit = Limit::kAtLeast});
  return bars;
}

}  // namespace lanekeeper::e2e
