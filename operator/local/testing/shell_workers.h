// A LocalPlatform whose workers are tiny shell programs: each reports itself by a file of its name
// in a folder. For tests.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "operator/local/local_platform.h"
#include "operator/local/state_folder.h"
#include "operator/manifest/manifest.h"

namespace lanekeeper {

// Until SIGTERM; "$REPORTS" is the folder. In arguments $$ stands for $.
inline constexpr const char* kShellWorker =
    "trap 'rm -f $REPORTS/$LANEKEEPER_WORKER; exit 0' TERM; "
    "echo $$$$ > $REPORTS/$LANEKEEPER_WORKER.new; "
    "mv $REPORTS/$LANEKEEPER_WORKER.new $REPORTS/$LANEKEEPER_WORKER; "
    "while :; do sleep 1000 & wait; done";

class ShellWorkers {
 public:
  ShellWorkers() {
    std::string made = (std::filesystem::temp_directory_path() / "lanekeeper-local-XXXXXX");
    EXPECT_NE(mkdtemp(made.data()), nullptr);
    folder_ = made;
    for (const char* part : {"/reports", "/status", "/logs"}) {
      std::filesystem::create_directory(folder_ + part);
    }
    Restart();
  }
  ~ShellWorkers() {
    platform_.reset();
    std::filesystem::remove_all(folder_);
  }

  // Another platform on the same folder; kills the workers of the last one.
  void Restart() {
    platform_.reset();
    platform_ = std::make_unique<LocalPlatform>(
        clock_, LocalPlatformOptions{
                    .nats_url = "nats://127.0.0.1:1",
                    .status_folder = folder_ + "/status",
                    .logs_folder = folder_ + "/logs",
                    .reported = [this](const LaneKey&) { return Reported(); },
                    .on_left_out = [this](const PoolKey&,
                                          const std::string& text) { said.push_back(text); },
                    .on_let_go = [this](const PoolKey& key) { let_go.push_back(key); }});
    platform_->Start([this](const PoolKey&) {
      const std::lock_guard lock(mutex_);
      ++changes_;
    });
  }

  // `program`: of `sh -c`.
  WorkerPool Pool(const std::string& program = kShellWorker, const std::string& lane_extra = "") {
    const Result<WorkerPool> pool = ReadPool(
        "kind: WorkerPool\nmetadata: {name: media, namespace: studio}\nspec:\n  template:\n"
        "    spec:\n      containers:\n      - name: worker\n        image: none\n"
        "        command: [sh, -c]\n        args:\n        - |\n          " +
        program + "\n        env: [{name: REPORTS, value: " + folder_ +
        "/reports}]\n  lanes: [{name: short, class: Short" + lane_extra + "}]\n");
    EXPECT_TRUE(pool) << pool.error().message;
    return *pool;
  }

  LocalPlatform& platform() { return *platform_; }
  const std::string& folder() const { return folder_; }
  // Of a worker that reported itself; 0: it did not.
  pid_t PidOf(const std::string& worker) const {
    return std::atoi(ReadWholeFile(folder_ + "/reports/" + worker).value_or("0").c_str());
  }
  int changes() {
    const std::lock_guard lock(mutex_);
    return changes_;
  }

  // Reconcile thread, which is the test's.
  std::vector<std::string> said;
  std::vector<PoolKey> let_go;

 private:
  std::vector<ReportedWorker> Reported() const {
    std::vector<ReportedWorker> reported;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(folder_ + "/reports", ignored)) {
      if (entry.path().extension() == ".new") continue;
      reported.push_back({.name = entry.path().filename(), .heard_at = clock_.Now()});
    }
    std::ranges::sort(reported, {}, &ReportedWorker::name);
    return reported;
  }

  SystemClock clock_;
  std::string folder_;
  std::mutex mutex_;
  int changes_ = 0;
  std::unique_ptr<LocalPlatform> platform_;
};

}  // namespace lanekeeper
