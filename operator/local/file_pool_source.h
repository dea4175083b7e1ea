// PoolSource over one YAML file: every WorkerPool in it, looked at again when the file changed.
//
// A file that cannot be read, is no YAML or holds no WorkerPool at all changes nothing: the pools
// it had go on, and on_invalid says why of each. A pool that is gone from a good file is first
// reported as being deleted, so that its workers get their grace, and as gone once it was let go.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "operator/control/ports.h"
#include "operator/manifest/manifest.h"

namespace lanekeeper {

inline constexpr std::chrono::milliseconds kFilePollInterval{500};

class FilePoolSource final : public PoolSource {
 public:
  // Beside on_invalid, for people: once for each problem. The source's thread.
  using OnProblem = std::function<void(const PoolKey&, const Error&)>;

  explicit FilePoolSource(std::string path, OnProblem on_problem = nullptr);
  ~FilePoolSource() override;

  void Start(Callbacks callbacks) override;
  void Stop() override;  // Idempotent, waits.
  // The last worker of a pool that is being deleted has ended. Any thread.
  void LetGo(const PoolKey& key);

 private:
  // What tells one version of the file from another.
  struct Stamp {
    std::int64_t modified_ns = 0;
    std::uint64_t bytes = 0;
    std::uint64_t inode = 0;
    bool operator==(const Stamp&) const = default;
  };
  struct Known {
    std::shared_ptr<const WorkerPool> pool;  // The last good one; nullptr: there was none.
    std::string problem;                     // Said last; empty: none.
  };

  void Run();
  std::optional<Stamp> Look() const;
  void Read();
  void Take(const ManifestPool& read);
  void TakeProblem(const PoolKey& key, const Error& error);
  void Delete(const PoolKey& key);
  void ReportGone();

  const std::string path_;
  const OnProblem on_problem_;
  Callbacks callbacks_;
  // The source's thread only.
  std::map<PoolKey, Known> known_;
  std::int64_t generations_ = 0;
  std::optional<Stamp> read_;  // The version that was read last.

  std::mutex mutex_;
  std::condition_variable changed_;
  bool stopping_ = false;
  std::vector<PoolKey> let_go_;
  std::thread thread_;
};

}  // namespace lanekeeper
