// A real lane for tests: a nats-server of its own, the streams of one lane, and worker processes.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "worker-runtime/job/job_record.h"
#include "worker-runtime/job/names.h"
#include "worker-runtime/nats/connection.h"
#include "worker-runtime/nats/jetstream.h"
#include "worker-runtime/nats/testing/nats_server.h"

namespace lanekeeper::runner {

using Environment = std::map<std::string, std::string>;

// A file of this process alone that is not there until Make, nor afterwards: an example job of the
// type "hold" waits for it.
class File {
 public:
  File();
  ~File();
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  const std::string& name() const { return name_; }
  void Make() const;

 private:
  const std::string name_;
};

// A program of this build as a child process. Its output goes to this one's standard error.
class Process {
 public:
  // `arguments` begin with the program's name in the folder of this test.
  Process(std::vector<std::string> arguments, const Environment& environment);
  ~Process();  // SIGKILL, if it still runs.
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  void Signal(int signal) const;
  // Its exit code, or 128 + the signal that ended it; -1 when it did not end for a long time.
  int Wait();
  bool Ended();

 private:
  pid_t pid_ = -1;
  std::optional<int> code_;
};

// What `ask` gets from JetStream. Asks again when no answer came: a server leaves a question
// unanswered now and then, and most tests have no second one.
template <typename Ask>
auto Answered(const Ask& ask) {
  auto answer = ask();
  for (int again = 0; again < 3 && !answer; ++again) {
    if (answer.error().error.kind != ErrorKind::kRetryable) break;
    answer = ask();
  }
  return answer;
}

// True once `holds` is; false after a time that no healthy machine needs.
bool Eventually(const std::function<bool()>& holds);

class LaneFixture : public testing::Test {
 protected:
  // A run of an example handler, from its record.
  struct Run {
    std::string id;
    std::string worker;
    int delivery = 0;
  };

  explicit LaneFixture(std::string server_config = "");
  void SetUp() override;

  // The lane's streams and consumer, and a stream for the records of example handlers.
  void MakeLane(std::chrono::milliseconds ack_wait = std::chrono::minutes(10));
  void MakeDeadLetters();

  // Stored when it returns.
  void Publish(const std::string& payload, const nats::Headers& headers = {});
  void Publish(const std::string& id, const std::string& type, const std::string& payload);

  // What the operator would set; `changes` on top.
  Environment WorkerEnvironment(const std::string& worker, const Environment& changes = {}) const;
  std::unique_ptr<Process> StartExampleWorker(const std::string& worker,
                                              const Environment& changes = {});

  std::vector<Run> Runs();
  std::vector<nats::StoredMessage> DeadLetters();
  // Jobs in the lane's stream, and those of them that are delivered and not settled.
  std::int64_t JobsLeft();
  std::int64_t JobsRunning();
  // As it is stored now.
  std::optional<JobRecord> Record(const std::string& id) { return RecordIn(key_, id); }
  std::optional<JobRecord> RecordIn(const LaneKey& lane, const std::string& id);
  // That run of the job is claimed, so that its worker runs it, and goes on running it. A job that
  // is only delivered may still go back.
  bool WaitRunning(const std::string& id, int run = 1);

  const std::string server_config_;
  const LaneKey key_{"studio", "media", "short"};
  std::optional<nats::NatsServer> server_;
  std::unique_ptr<nats::Connection> connection_;
  std::optional<nats::JetStream> jetstream_;
};

}  // namespace lanekeeper::runner
