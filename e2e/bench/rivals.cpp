// The same no-op jobs drained by Lanekeeper, by asynq (Redis) and by River (PostgreSQL), on this
// machine, in turns. What each of them promises about a job that it has accepted is printed beside
// its speed: they do not promise the same. See README.md.
#include <unistd.h>
#include <CLI/CLI.hpp>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "e2e/bench/figures.h"
#include "e2e/bench/lane_bench.h"

namespace lanekeeper::e2e {
namespace {

namespace fs = std::filesystem;
using std::chrono::seconds;

constexpr const char* kHowToInstall = "run e2e/tools/install.sh rivals";
constexpr seconds kRivalDeadline{300};

struct Options {
  int jobs = 30'000;
  int repeat = 3;
  int slots = 500;
  int asynq_workers = 100;
  int river_workers = 2000;
};

class TemporaryDirectory {
 public:
  TemporaryDirectory() : path_(fs::temp_directory_path() / "lanekeeper-rivals-XXXXXX") {
    if (mkdtemp(path_.data()) == nullptr) throw std::runtime_error("making " + path_);
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string ReadText(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// A program on PATH or in the place where Debian keeps PostgreSQL's; throws when it is missing.
std::string FindProgram(const std::string& name) {
  const char* variable = std::getenv("PATH");
  std::vector<std::string> folders;
  std::istringstream path(variable == nullptr ? "" : variable);
  for (std::string folder; std::getline(path, folder, ':');) folders.push_back(folder);
  std::error_code ignored;
  for (const auto& version : fs::directory_iterator("/usr/lib/postgresql", ignored)) {
    folders.push_back(version.path() / "bin");
  }
  for (const std::string& folder : folders) {
    const std::string program = folder + "/" + name;
    if (access(program.c_str(), X_OK) == 0) return program;
  }
  throw std::runtime_error(name + " is not installed; " + kHowToInstall);
}

// Runs it to its end and returns what it wrote; throws, with that, when it fails.
std::string Output(const std::vector<std::string>& argv, const std::string& log) {
  const int status = Child(argv, {}, log).Wait(kRivalDeadline);
  std::string text = ReadText(log);
  if (status != 0) {
    throw std::runtime_error(argv[0] + " ended with " + std::to_string(status) + ": " + text);
  }
  return text;
}

// Jobs per second, by the last line of a rival's program.
double RivalRate(const std::vector<std::string>& argv, const std::string& log) {
  const std::string text = Output(argv, log);
  const auto line = nlohmann::json::parse(text.substr(text.rfind('{')));
  return line.at("jobs").get<double>() / line.at("seconds").get<double>();
}

// Asks again and again until `probe` succeeds.
void WaitUntilServing(const std::vector<std::string>& probe) {
  WaitFor(probe[0] + " to succeed", [&] { return Child(probe, {}, "/dev/null").Wait() == 0; });
}

double LanekeeperRate(const Options& options, int jobs, const char* tracking,
                      const char* sync_interval) {
  const TemporaryDirectory store;
  LaneBench bench({.config = "jetstream: {store_dir: \"" + store.path() +
                             "\", sync_interval: " + sync_interval + "}"});
  const LaneKey lane = bench.MakeLane("rivals");
  return bench.MeasureWorkerDrain(
      lane, jobs, {{kEnvSlots, std::to_string(options.slots)}, {kEnvTracking, tracking}});
}

double AsynqRate(const Options& options, int jobs) {
  const std::string rival = FindProgram("rival-asynq");
  const TemporaryDirectory directory;
  const std::string port = std::to_string(FreePort());
  // Without the snapshots of Redis' default configuration: the log is what keeps the jobs.
  const Child server(
      {FindProgram("redis-server"), "--bind", "127.0.0.1", "--port", port, "--dir",
       directory.path(), "--appendonly", "yes", "--appendfsync", "everysec", "--save", ""},
      {}, directory.path() + "/log");
  WaitUntilServing({FindProgram("redis-cli"), "-h", "127.0.0.1", "-p", port, "ping"});
  return RivalRate({rival, "--redis", "127.0.0.1:" + port, "--jobs", std::to_string(jobs),
                    "--workers", std::to_string(options.asynq_workers)},
                   directory.path() + "/out");
}

// PostgreSQL refuses to run as root: then it runs as the user of its Debian package.
std::vector<std::string> AsDatabaseUser(std::vector<std::string> argv) {
  if (geteuid() != 0) return argv;
  // The new user would clear what makes it end with this program.
  std::vector<std::string> words{"setpriv",  "--reuid",        "postgres",    "--regid",
                                 "postgres", "--clear-groups", "--pdeathsig", "INT"};
  words.insert(words.end(), argv.begin(), argv.end());
  return words;
}

double RiverRate(const Options& options, int jobs) {
  const std::string rival = FindProgram("rival-river");
  const TemporaryDirectory directory;
  fs::permissions(directory.path(), fs::perms::all);
  const std::string cluster = directory.path() + "/cluster";
  const std::string port = std::to_string(FreePort());
  Output(AsDatabaseUser({FindProgram("initdb"), "-D", cluster, "-U", "river", "--auth=trust"}),
         directory.path() + "/initdb");
  Child server(AsDatabaseUser({FindProgram("postgres"), "-D", cluster, "-p", port, "-c",
                               "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="}),
               {}, directory.path() + "/log");
  WaitUntilServing({FindProgram("pg_isready"), "-h", "127.0.0.1", "-p", port});
  const double rate = RivalRate(
      {rival, "--database", "postgres://river@127.0.0.1:" + port + "/postgres?sslmode=disable",
       "--jobs", std::to_string(jobs), "--workers", std::to_string(options.river_workers),
       "--cooldown", "2ms"},
      directory.path() + "/out");
  server.Signal(SIGINT);  // PostgreSQL's fast shutdown.
  server.Wait();
  return rate;
}

struct Contender {
  std::string name;     // Of its figure.
  std::string title;    // Of its row.
  std::string durable;  // What a job it has accepted survives.
  std::string keeps;    // Of a job that is done.
  int jobs;             // Of one run.
  std::function<double(int jobs)> run;
  std::vector<double> rates{};
  std::string missing{};  // Why it did not run.
};

std::vector<Contender> Contenders(const Options& options) {
  const std::string slots = std::to_string(options.slots) + " slots";
  return {
      {"lanekeeper_full", "Lanekeeper, Full, " + slots, "JetStream file, fsync every 2 min",
       "record", options.jobs,
       [&](int jobs) { return LanekeeperRate(options, jobs, "Full", "2m"); }},
      {"lanekeeper_none", "Lanekeeper, None, " + slots, "JetStream file, fsync every 2 min",
       "nothing", options.jobs,
       [&](int jobs) { return LanekeeperRate(options, jobs, "None", "2m"); }},
      // So much slower that fewer jobs tell it well enough.
      {"lanekeeper_full_synced", "Lanekeeper, Full, " + slots, "JetStream file, fsync each write",
       "record", options.jobs / 10,
       [&](int jobs) { return LanekeeperRate(options, jobs, "Full", "always"); }},
      {"asynq", "asynq, " + std::to_string(options.asynq_workers) + " workers",
       "Redis AOF, fsync every second", "nothing", options.jobs,
       [&](int jobs) { return AsynqRate(options, jobs); }},
      {"river", "River, " + std::to_string(options.river_workers) + " workers",
       "PostgreSQL, fsync each commit", "row", options.jobs,
       [&](int jobs) { return RiverRate(options, jobs); }},
  };
}

int Run(const Options& options) {
  std::vector<Contender> contenders = Contenders(options);
  for (int round = 1; round <= options.repeat; ++round) {
    for (Contender& contender : contenders) {
      if (!contender.missing.empty()) continue;
      try {
        contender.rates.push_back(contender.run(contender.jobs));
        std::printf("round %d  %-24s %8.0f jobs/s\n", round, contender.name.c_str(),
                    contender.rates.back());
      } catch (const std::exception& error) {
        contender.missing = error.what();
        std::printf("round %d  %-24s failed: %s\n", round, contender.name.c_str(), error.what());
      }
      std::fflush(stdout);
    }
  }

  std::printf("\n%-30s %-34s %-8s %10s   %s\n", "drained by one process", "durability", "keeps",
              "jobs/s", "spread");
  std::vector<Bar> bars;
  for (const Contender& contender : contenders) {
    const double rate = contender.missing.empty() ? Percentile(contender.rates, 0.5) : std::nan("");
    std::printf("%-30s %-34s %-8s %10.0f   %.0f .. %.0f\n", contender.title.c_str(),
                contender.durable.c_str(), contender.keeps.c_str(), rate,
                Percentile(contender.rates, 0), Percentile(contender.rates, 1));
    bars.push_back({"rivals_" + contender.name, rate, "jobs/s", std::nullopt,
                    contender.missing.empty()
                        ? contender.title + "; " + contender.durable + "; keeps " +
                              contender.keeps + " of a done job; median of " +
                              std::to_string(options.repeat) + " runs of " +
                              std::to_string(contender.jobs) + " jobs, a fresh store each"
                        : contender.missing});
  }
  return PrintBars(bars) ? 0 : 1;
}

}  // namespace
}  // namespace lanekeeper::e2e

int main(int argc, char** argv) {
  lanekeeper::e2e::Options options;
  CLI::App app{"Drains the same jobs with Lanekeeper, asynq and River (make bench-rivals)."};
  app.add_option("--jobs", options.jobs, "Jobs of one run")->check(CLI::Range(1000, 1'000'000));
  app.add_option("--repeat", options.repeat, "Rounds")->check(CLI::Range(1, 100));
  app.add_option("--slots", options.slots, "Of Lanekeeper's worker")->check(CLI::Range(1, 1000));
  app.add_option("--asynq-workers", options.asynq_workers, "asynq's Concurrency")
      ->check(CLI::Range(1, 10'000));
  app.add_option("--river-workers", options.river_workers, "River's MaxWorkers")
      ->check(CLI::Range(1, 10'000));
  CLI11_PARSE(app, argc, argv);
  try {
    return lanekeeper::e2e::Run(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "bench-rivals: %s\n", error.what());
    return 1;
  }
}
