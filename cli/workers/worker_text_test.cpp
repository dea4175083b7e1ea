#include "cli/workers/worker_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <sstream>

#include "worker-runtime/base/time.h"

namespace lanekeeper::workers {
namespace {

using nlohmann::json;

json Busy() {
  const auto began = std::chrono::system_clock::now() - std::chrono::minutes(70);
  json worker = json::parse(R"({"lane":"gpu","worker":"media-gpu-a","state":"running","slots":2,
    "running":2,"done":31,"failed":2,"dead":0,"oldest_running_seconds":4211})");
  worker["jobs"] = {{{"id", "j-1"},
                     {"type", "film"},
                     {"started_at", FormatRfc3339(began)},
                     {"progress", {{"fraction", 0.4}, {"note", "frame 4211"}}}},
                    {{"id", "j-2"}}};
  return worker;
}

json Idle() {
  return json::parse(R"({"lane":"gpu","worker":"media-gpu-b","state":"drained","ending":true,
    "slots":2,"running":0,"done":0,"failed":0,"dead":0,"oldest_running_seconds":0,"jobs":[]})");
}

TEST(WorkerText, AWorkerIsALineWithWhatItRunsAndForHowLong) {
  std::ostringstream out;
  cli::PrintItems(out, cli::Format::kTable, json::array({Busy(), Idle()}), WorkerColumns(), "");
  EXPECT_EQ(out.str(),
            "LANE  WORKER       STATE          RUNNING  OLDEST  DONE  FAILED  DEAD  JOBS\n"
            "gpu   media-gpu-a  running        2/2      70m     31    2       0     film for 70m "
            "40% (frame 4211) and 1 more\n"
            "gpu   media-gpu-b  drained, ends  0/2      -       0     0       0     -\n");
}

TEST(WorkerText, AJobThatTheWorkerHasNotReportedYetIsCounted) {
  json worker = Idle();
  worker["jobs"] = {{{"id", "j-3"}}};
  std::ostringstream out;
  cli::PrintItems(out, cli::Format::kTable, json::array({worker}), WorkerColumns(), "");
  EXPECT_NE(out.str().find("  1/2      0s  "), std::string::npos) << out.str();
  EXPECT_NE(DrainText(worker).find("when its running job has ended"), std::string::npos);
}

TEST(WorkerText, AJobWithoutATypeIsNamedByItsId) {
  json worker = Busy();
  worker["jobs"] = {{{"id", "j-2"}}};
  EXPECT_EQ(JobsText(worker), "j-2");
}

TEST(WorkerText, SaysWhenADrainedWorkerIsStartedAnew) {
  EXPECT_EQ(DrainText(Idle()),
            "Worker media-gpu-b takes no more jobs. It has none, and is started anew.");
  EXPECT_EQ(DrainText(Busy()),
            "Worker media-gpu-a takes no more jobs. It is started anew when its 2 running jobs "
            "have ended.");
}

}  // namespace
}  // namespace lanekeeper::workers
