// Workers on a real lane with real records: what stands in the bucket, who may write it, drain and
// undrain by request, moves between lanes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "worker-runtime/job/worker_report.h"
#include "worker-runtime/nats/queue_setup.h"
#include "worker-runtime/nats/worker_report_json.h"
#include "worker-runtime/runner/nats_job_source.h"
#include "worker-runtime/runner/nats_record_store.h"
#include "worker-runtime/runner/runner.h"
#include "worker-runtime/runner/testing/in_process_worker.h"
#include "worker-runtime/runner/testing/lane_fixture.h"

namespace lanekeeper::runner {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

class WorkerRecordsNatsTest : public LaneFixture {
 protected:
  bool WaitState(const std::string& id, JobState state) {
    return Eventually([&] {
      const auto record = Record(id);
      return record && record->state == state;
    });
  }
  // Asks a worker; its answer as a report.
  std::optional<WorkerReport> Ask(const std::string& worker, std::string_view command) {
    const auto answer =
        connection_->Request(WorkerControlSubject(key_, worker), command, {}, seconds(30));
    if (!answer || answer->NoResponders()) return std::nullopt;
    const auto report = nats::ReadWorkerReport(answer->payload);
    return report ? std::optional(*report) : std::nullopt;
  }
};

// A gateway does not know the sequence when it publishes; the id it answers with has it all the
// same.
TEST_F(WorkerRecordsNatsTest, AnIdWithAStarIsThePlaceOfTheJobEverywhere) {
  MakeLane();
  const auto publish = [this](const std::string& tail, const std::string& type,
                              const std::string& payload) {
    Publish(payload,
            {{"Nats-Msg-Id", tail + "xxxxxx"}, {"Lk-Job-Id", "*." + tail}, {"Lk-Type", type}});
  };
  publish("aaaaaaaa", "sleep", "10");
  publish("bbbbbbbb", "poison", "");
  publish("cccccccc", "sleep", "600000");
  const auto worker = StartExampleWorker("w-1", {{kEnvSlots, "2"}, {kEnvTimeout, "1h"}});
  ASSERT_TRUE(WaitState("LK_studio_media_short.1.aaaaaaaa", JobState::kDone));
  EXPECT_EQ(Record("LK_studio_media_short.1.aaaaaaaa")->id, "LK_studio_media_short.1.aaaaaaaa");
  ASSERT_TRUE(WaitState("LK_studio_media_short.2.bbbbbbbb", JobState::kDead));
  const std::string runs = "LK_studio_media_short.3.cccccccc";
  ASSERT_TRUE(WaitState(runs, JobState::kRunning));

  // Its worker knows it by that id, for whoever asks.
  const auto held =
      connection_->Request(WorkerControlSubject(key_, "w-1"),
                           "holds " + Record(runs)->instance + " " + runs, {}, seconds(30));
  ASSERT_TRUE(held) << held.error().message;
  EXPECT_EQ(held->payload, "yes");

  ASSERT_TRUE(Eventually([this] { return DeadLetters().size() == 1; }));
  const nats::Headers headers = DeadLetters().front().headers;
  EXPECT_EQ(FindHeader(headers, "Lk-Dead-Job-Id"), "LK_studio_media_short.2.bbbbbbbb");
  EXPECT_EQ(FindHeader(headers, "Lk-Job-Id"), "LK_studio_media_short.2.bbbbbbbb");
}

TEST_F(WorkerRecordsNatsTest, ARecordTellsTheStoryOfItsJob) {
  MakeLane();
  Publish("tries", "fail", "");
  Publish("works", "sleep", "10");
  const auto worker = StartExampleWorker("w-1", {{kEnvAttempts, "3"}});
  ASSERT_TRUE(WaitState("works", JobState::kDone));
  ASSERT_TRUE(WaitState("tries", JobState::kDead));
  ASSERT_TRUE(Eventually([this] { return JobsLeft() == 0; }));

  const JobRecord works = *Record("works");
  EXPECT_EQ(works.type, "sleep");
  EXPECT_EQ(works.sequence, 2U);
  EXPECT_EQ(works.runs, 1);
  EXPECT_EQ(works.worker, "w-1");
  EXPECT_LE(works.stored_at, works.started_at);
  EXPECT_LE(works.started_at, works.ended_at);

  const JobRecord tries = *Record("tries");
  EXPECT_EQ(tries.attempts, 3);
  EXPECT_EQ(tries.crashes, 0);
  EXPECT_EQ(tries.runs, 3);
  EXPECT_EQ(tries.dead_reason, "attempts-used-up");
  EXPECT_EQ(tries.error, "this job always fails");
  const auto letters = DeadLetters();
  ASSERT_EQ(letters.size(), 1U);
  EXPECT_EQ(FindHeader(letters[0].headers, "Lk-Dead-Attempts"), "3");
  EXPECT_EQ(FindHeader(letters[0].headers, "Lk-Dead-Crashes"), "0");
  EXPECT_TRUE(FindHeader(letters[0].headers, "Lk-Dead-First-Time"));
}

// Drains and evictions are free: a job may be interrupted more often than it may crash or fail.
TEST_F(WorkerRecordsNatsTest, InterruptionsCostNothingAndCheckpointsTravel) {
  MakeLane();
  Publish("job", "steps", "");
  std::atomic<int> runs{0};
  const auto handler = [&runs](Job& job) -> Outcome {
    ++runs;
    const std::string steps = job.checkpoint() + "x";
    if (steps.size() == 6) return Done{steps};
    while (!job.StopRequested()) std::this_thread::sleep_for(milliseconds(2));
    EXPECT_TRUE(job.Checkpoint(steps));
    return Interrupted{};
  };
  for (int n = 1; n <= 5; ++n) {
    InProcessWorker worker(server_->url(), key_,
                           {.worker = "w-" + std::to_string(n),
                            .stop = {.stop_handlers = milliseconds(0), .give_up = hours(1)}},
                           handler);
    ASSERT_TRUE(Eventually([&] { return runs == n; }));
    ASSERT_TRUE(WaitRunning("job", n));
    worker.runner().BeginStop();
    ASSERT_TRUE(Eventually([&] { return worker.runner().Stopped(); }));
  }
  const InProcessWorker last(server_->url(), key_, {.worker = "w-6"}, handler);
  ASSERT_TRUE(WaitState("job", JobState::kDone));
  const JobRecord record = *Record("job");
  EXPECT_EQ(record.result, "xxxxxx");
  EXPECT_EQ(record.interruptions, 5);
  EXPECT_EQ(record.attempts + record.crashes, 0);
  EXPECT_EQ(record.runs, 6);
}

TEST_F(WorkerRecordsNatsTest, AnOverrunGoesToTheLongLaneExactlyOnce) {
  MakeLane();
  const LaneKey long_lane{key_.pool_namespace, key_.pool, "long"};
  ASSERT_TRUE(nats::EnsureJobQueue(*jetstream_, long_lane, {}));
  Publish("job", "slow", "payload");
  RunnerOptions options{.worker = "w-1",
                        .policy = {.overrun_lane = "long"},
                        .limits = {.timeout = milliseconds(200)}};
  const InProcessWorker quick(server_->url(), key_, options, [](Job& job) -> Outcome {
    EXPECT_TRUE(job.Checkpoint("half"));
    while (!job.StopRequested()) std::this_thread::sleep_for(milliseconds(2));
    return Interrupted{};
  });
  ASSERT_TRUE(Eventually([this] { return JobsLeft() == 0; }));
  EXPECT_EQ(Record("job")->state, JobState::kMoved);
  EXPECT_EQ(Record("job")->moved_to, "long");

  // The worker died between its publish and its ack: the move is published once more, long after.
  const auto first = jetstream_->GetMessage(JobStreamName(long_lane), 1);
  ASSERT_TRUE(first);
  nats::Headers again = first->headers;
  std::erase_if(again, [](const auto& header) { return header.first == "Nats-Msg-Id"; });
  ASSERT_TRUE(jetstream_->PublishAck(JobSubject(long_lane), first->payload, again));

  std::atomic<int> runs{0};
  const InProcessWorker slow(server_->url(), long_lane, {.worker = "w-2", .slots = 4},
                             [&runs](Job& job) -> Outcome {
                               ++runs;
                               EXPECT_EQ(job.attempt(), 1);
                               EXPECT_EQ(job.payload(), "payload");
                               return Done{job.checkpoint()};
                             });
  ASSERT_TRUE(Eventually([&] {
    const auto state = jetstream_->StreamInfo(JobStreamName(long_lane));
    return state && state->messages == 0;
  }));
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(RecordIn(long_lane, "job")->result, "half");
  EXPECT_EQ(RecordIn(long_lane, "job")->moved_from, "short.1");
}

TEST_F(WorkerRecordsNatsTest, AWorkerDrainsAndGoesOnByRequest) {
  MakeLane();
  const auto worker = StartExampleWorker("w-1");
  const File go;
  Publish("running", "hold", go.name());
  ASSERT_TRUE(WaitRunning("running"));
  const auto draining = Ask("w-1", kControlDrain);
  ASSERT_TRUE(draining);
  EXPECT_EQ(draining->state, WorkerState::kDraining);
  EXPECT_EQ(draining->running, 1);
  go.Make();
  ASSERT_TRUE(Eventually([this] {
    const auto report = Ask("w-1", kControlDrain);  // Again changes nothing.
    return report && report->state == WorkerState::kDrained && report->running == 0;
  }));
  EXPECT_EQ(Record("running")->state, JobState::kDone);
  ASSERT_TRUE(Eventually([this] { return JobsLeft() == 0; }));
  Publish("waiting", "sleep", "0");
  EXPECT_EQ(JobsLeft(), 1);
  EXPECT_EQ(JobsRunning(), 0);
  ASSERT_TRUE(Ask("w-1", kControlUndrain));
  EXPECT_TRUE(WaitState("waiting", JobState::kDone));
  EXPECT_EQ(Record("waiting")->runs, 1);
}

// As the operator does it: the request names the subject of reports as the place for the answer, so
// both come in the order in which they were said. Prints how long it takes; asserts on what comes.
TEST_F(WorkerRecordsNatsTest, ADrainedWorkerIsTakenBackForAJobThatWaits) {
  MakeLane();
  const auto reports = connection_->Subscribe(WorkerReportSubject(key_, "w-1"));
  const auto results = connection_->Subscribe("results");
  ASSERT_TRUE(reports && results);
  const auto worker = StartExampleWorker("w-1");
  ASSERT_TRUE((*reports)->Next(seconds(60)));
  using Clock = std::chrono::steady_clock;
  const auto tell = [&](std::string_view request) {
    EXPECT_TRUE(connection_->PublishRequest(WorkerControlSubject(key_, "w-1"),
                                            WorkerReportSubject(key_, "w-1"), request));
    return Clock::now();
  };
  std::vector<double> drained_ms;
  std::vector<double> taken_back_ms;
  const auto since = [](Clock::time_point began) {
    return std::chrono::duration<double, std::milli>(Clock::now() - began).count();
  };
  const int rounds = 30;
  const auto hear = [&](WorkerState state) {
    while (const auto heard = (*reports)->Next(seconds(60))) {
      const auto report = nats::ReadWorkerReport(heard->payload);
      if (report && report->state == state) return true;
    }
    return false;
  };
  for (int round = 0; round < rounds; ++round) {
    const auto drain = tell(kControlDrain);
    ASSERT_TRUE(hear(WorkerState::kDrained)) << "round " << round;
    drained_ms.push_back(since(drain));
    // Says nothing else afterwards, and takes no job.
    Publish("job-" + std::to_string(round), "sleep", "0");
    ASSERT_FALSE((*results)->Next(milliseconds(0)));
    const auto undrain = tell(kControlUndrain);
    ASSERT_TRUE((*results)->Next(seconds(60)));
    taken_back_ms.push_back(since(undrain));
    // It may have said more than once that it is drained: that is not of the next round.
    ASSERT_TRUE(hear(WorkerState::kRunning)) << "round " << round;
    ASSERT_TRUE(Eventually([this] { return JobsLeft() == 0; }));
  }
  for (auto* figures : {&drained_ms, &taken_back_ms}) std::sort(figures->begin(), figures->end());
  std::printf(
      "[ FIGURES  ] drain to drained: median %.1f ms, most %.1f ms; undrain to the first job "
      "done: median %.1f ms, most %.1f ms\n",
      drained_ms[rounds / 2], drained_ms.back(), taken_back_ms[rounds / 2], taken_back_ms.back());
}

TEST_F(WorkerRecordsNatsTest, AnUnknownRequestIsAnsweredWithWhatIsKnown) {
  MakeLane();
  const auto worker = StartExampleWorker("w-1");
  ASSERT_TRUE(Eventually([this] { return Ask("w-1", kControlUndrain).has_value(); }));
  const auto answer =
      connection_->Request(WorkerControlSubject(key_, "w-1"), "explode", {}, seconds(30));
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->payload, R"({"error":"say drain, undrain or end"})");
}

TEST_F(WorkerRecordsNatsTest, ABucketThatIsDeletedIsMadeAgain) {
  MakeLane();
  const auto worker = StartExampleWorker("w-1");
  Publish("one", "sleep", "0");
  ASSERT_TRUE(WaitState("one", JobState::kDone));
  ASSERT_TRUE(jetstream_->DeleteStream(kRecordStream));
  Publish("two", "sleep", "0");
  EXPECT_TRUE(WaitState("two", JobState::kDone));
  EXPECT_TRUE(Eventually([this] { return JobsLeft() == 0; }));
}

TEST_F(WorkerRecordsNatsTest, WithoutTrackingThereIsNoBucket) {
  MakeLane();
  const auto worker = StartExampleWorker("w-1", {{kEnvTracking, "None"}});
  for (int n = 0; n < 50; ++n) Publish("job-" + std::to_string(n), "sleep", "0");
  ASSERT_TRUE(Eventually([this] { return JobsLeft() == 0; }));
  EXPECT_EQ(Runs().size(), 50U);
  EXPECT_FALSE(jetstream_->StreamInfo(kRecordStream));
}

TEST_F(WorkerRecordsNatsTest, OnlyFailuresLeavesNoRecordOfWhatWentWell) {
  MakeLane();
  const auto worker = StartExampleWorker("w-1", {{kEnvTracking, "Failures"}});
  Publish("good", "sleep", "0");
  Publish("bad", "poison", "");
  ASSERT_TRUE(WaitState("bad", JobState::kDead));
  ASSERT_TRUE(Eventually([this] { return JobsLeft() == 0; }));
  EXPECT_FALSE(Record("good"));
}

}  // namespace
}  // namespace lanekeeper::runner
