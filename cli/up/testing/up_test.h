// `lanekeeper up` as people run it, for tests: the program itself, its nats-server, its workers, on
// a folder of the test's own.
#pragma once

#include <gtest/gtest.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "worker-runtime/handlers/process.h"
#include "worker-runtime/job/names.h"
#include "worker-runtime/nats/connection.h"
#include "worker-runtime/nats/jetstream.h"

namespace lanekeeper::up {

// Only a broken build reaches it: a loaded machine under the thread sanitizer does not.
inline constexpr std::chrono::minutes kUpDeadline{5};

// The running program; its output is read whenever the test waits for something.
class Lanekeeper {
 public:
  explicit Lanekeeper(const std::vector<std::string>& arguments);
  void Signal(int signal) { process_->SignalLeader(signal); }
  const std::string& said();
  bool Ended() const { return !process_ || process_->Exited(); }
  // How it ended; nothing: it did not.
  std::optional<handlers::ExitStatus> Wait();

 private:
  std::optional<handlers::Process> process_;
  std::string said_;
};

// The pool studio/media with the lane short, of lanekeeper-example-worker.
class UpTest : public testing::Test {
 protected:
  void SetUp() override;
  void TearDown() override;

  // `lane`: fields of the lane "short".
  void WriteManifest(const std::string& lane);
  // Ports are free ones. For a test's own start.
  std::vector<std::string> Arguments() const;
  void Launch() { up_ = std::make_unique<Lanekeeper>(Arguments()); }
  // Connects to its nats-server. Returns when the lane's queue is there.
  void Join();
  void Start() {
    Launch();
    Join();
  }
  // Waits for its end, with status 0.
  void AwaitEnd();
  // With the program's output read meanwhile.
  bool Await(const std::function<bool()>& holds);
  bool AwaitSaid(const std::string& text);

  // Hands in a job as any NATS client does.
  void Publish(const std::string& id, const std::string& type, const std::string& payload);
  // A job that goes on until Release of the same gate.
  void PublishHeld(const std::string& id, const std::string& gate) {
    Publish(id, "hold", GatePath(gate));
  }
  void Release(const std::string& gate) const;
  std::string GatePath(const std::string& gate) const { return folder_ + "/" + gate; }
  // So many jobs run, and no more are with workers: a signal from here on finds them running.
  bool AwaitRunning(std::int64_t jobs);
  // Jobs whose record says that they run; -1: no answer.
  std::int64_t RunningRecords() const;
  // Successful runs by job, as the workers recorded them. A run is there once.
  std::map<std::string, std::vector<nlohmann::json>> Results();
  std::int64_t JobsLeft();

  pid_t UpPid() const;
  // Processes that `up` started, and those they started, with their command lines.
  std::map<pid_t, std::string> Children() const;
  // Of workers: those that `up` started itself.
  std::vector<pid_t> Workers() const;
  // 0 unless there is exactly one.
  pid_t OnlyWorker() const;
  static bool Lives(pid_t pid);

  const LaneKey key_{"studio", "media", "short"};
  std::string folder_;
  std::unique_ptr<Lanekeeper> up_;
  std::unique_ptr<nats::Connection> connection_;
  std::optional<nats::JetStream> jetstream_;
};

}  // namespace lanekeeper::up
