#include "operator/local/file_pool_source.h"

#include <sys/stat.h>

#include <algorithm>
#include <set>
#include <vector>

#include "operator/local/state_folder.h"
#include "worker-runtime/base/log.h"

namespace lanekeeper {

FilePoolSource::FilePoolSource(std::string path, OnProblem on_problem)
    : path_(std::move(path)), on_problem_(std::move(on_problem)) {}

FilePoolSource::~FilePoolSource() { Stop(); }

void FilePoolSource::Start(Callbacks callbacks) {
  callbacks_ = std::move(callbacks);
  thread_ = std::thread([this] { Run(); });
}

void FilePoolSource::Stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void FilePoolSource::LetGo(const PoolKey& key) {
  {
    const std::lock_guard lock(mutex_);
    let_go_.push_back(key);
  }
  changed_.notify_all();
}

std::optional<FilePoolSource::Stamp> FilePoolSource::Look() const {
  struct stat status {};
  if (stat(path_.c_str(), &status) != 0) return std::nullopt;
  constexpr std::int64_t kNanoseconds = 1'000'000'000;
  return Stamp{status.st_mtim.tv_sec * kNanoseconds + status.st_mtim.tv_nsec,
               static_cast<std::uint64_t>(status.st_size),
               static_cast<std::uint64_t>(status.st_ino)};
}

void FilePoolSource::Run() {
  read_ = Look();
  Read();
  callbacks_.on_synced();
  std::optional<Stamp> seen = read_;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, kFilePollInterval, [&] { return stopping_ || !let_go_.empty(); });
      if (stopping_) return;
    }
    ReportGone();
    const std::optional<Stamp> now = Look();
    // Twice the same: nobody is in the middle of writing it.
    if (now != read_ && now == seen) {
      read_ = now;
      Read();
    }
    seen = now;
  }
}

void FilePoolSource::Read() {
  const std::optional<std::string> text = ReadWholeFile(path_);
  Result<Manifest> manifest =
      text ? ReadManifest(*text)
           : Result<Manifest>(Fail(ErrorKind::kNotFound, "the file cannot be read"));
  if (!manifest) {
    Error error = Wrap(std::move(manifest).error(), path_).value();
    error.kind = ErrorKind::kInvalid;
    log::Warning("local", "manifest unusable", {{"error", error.message}});
    for (const auto& [key, known] : std::map(known_)) TakeProblem(key, error);
    return;
  }
  std::set<PoolKey> there;
  for (const ManifestPool& read : manifest->pools) {
    there.insert(read.key);
    Take(read);
  }
  for (const auto& [key, known] : std::map(known_)) {
    if (!there.contains(key)) Delete(key);
  }
}

void FilePoolSource::Take(const ManifestPool& read) {
  if (!read.pool) {
    TakeProblem(read.key, read.pool.error());
    return;
  }
  Known& known = known_[read.key];
  WorkerPool pool = *read.pool;
  pool.uid = "local";
  // Nothing can be deleted behind this source's back.
  pool.has_finalizer = true;
  if (known.pool != nullptr) pool.generation = known.pool->generation;
  if (known.pool != nullptr && *known.pool == pool && known.problem.empty()) return;
  pool.generation = ++generations_;
  known.problem.clear();
  known.pool = std::make_shared<const WorkerPool>(std::move(pool));
  callbacks_.on_pool(known.pool);
}

void FilePoolSource::TakeProblem(const PoolKey& key, const Error& error) {
  Known& known = known_[key];
  if (known.pool != nullptr && known.pool->deleting) return;
  if (known.problem == error.message) return;
  known.problem = error.message;
  if (on_problem_) on_problem_(key, error);
  callbacks_.on_invalid(key, error);
}

void FilePoolSource::Delete(const PoolKey& key) {
  Known& known = known_[key];
  if (known.pool == nullptr) {  // It never could be worked with: it has nothing.
    known_.erase(key);
    callbacks_.on_gone(key);
    return;
  }
  if (known.pool->deleting) return;
  WorkerPool pool = *known.pool;
  pool.deleting = true;
  pool.generation = ++generations_;
  known = {std::make_shared<const WorkerPool>(std::move(pool)), ""};
  callbacks_.on_pool(known.pool);
}

void FilePoolSource::ReportGone() {
  std::vector<PoolKey> let_go;
  {
    const std::lock_guard lock(mutex_);
    let_go = std::exchange(let_go_, {});
  }
  for (const PoolKey& key : let_go) {
    const auto known = known_.find(key);
    // It may have come back meanwhile.
    if (known == known_.end() || known->second.pool == nullptr || !known->second.pool->deleting) {
      continue;
    }
    known_.erase(known);
    callbacks_.on_gone(key);
  }
}

}  // namespace lanekeeper
