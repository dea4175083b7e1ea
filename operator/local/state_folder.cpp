#include "operator/local/state_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <system_error>

namespace lanekeeper {
namespace {

namespace fs = std::filesystem;

std::string ErrnoText(int error) { return std::generic_category().message(error); }

std::string HolderOf(const std::string& lock) {
  std::string holder = ReadWholeFile(lock).value_or("");
  while (!holder.empty() && holder.back() == '\n') holder.pop_back();
  return holder.empty() ? "another process" : "process " + holder;
}

}  // namespace

// Not by a stream: that throws where the path is a folder.
std::optional<std::string> ReadWholeFile(const std::string& path) {
  handlers::Fd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.open()) return std::nullopt;
  std::string text;
  std::array<char, 16384> buffer{};
  while (true) {
    const ssize_t got = read(file.get(), buffer.data(), buffer.size());
    if (got == 0) return text;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return std::nullopt;
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
}

Result<void> ReplaceFile(const std::string& path, const std::string& text) {
  const std::string written = path + ".new";
  std::ofstream file(written, std::ios::binary | std::ios::trunc);
  file << text;
  file.close();
  if (!file) return Fail(ErrorKind::kRetryable, "writing " + written + ": " + ErrnoText(errno));
  if (std::rename(written.c_str(), path.c_str()) != 0) {
    return Fail(ErrorKind::kRetryable, "renaming " + written + ": " + ErrnoText(errno));
  }
  return {};
}

Result<StateFolder> StateFolder::Open(const std::string& path) {
  std::error_code failed;
  const std::string absolute = fs::absolute(path, failed).lexically_normal().string();
  for (const char* part : {"", "/nats", "/status", "/logs"}) {
    if (failed) break;
    fs::create_directories(absolute + part, failed);
  }
  if (failed) {
    return Fail(ErrorKind::kForbidden, "the folder " + path + " cannot be used: " +
                                           failed.message() + "; give another one with --state");
  }
  const std::string lock = absolute + "/lock";
  handlers::Fd held(open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!held.open()) {
    return Fail(ErrorKind::kForbidden,
                "opening " + lock + ": " + ErrnoText(errno) + "; give another folder with --state");
  }
  if (flock(held.get(), LOCK_EX | LOCK_NB) != 0) {
    return Fail(ErrorKind::kForbidden, HolderOf(lock) + " uses the folder " + path +
                                           "; end it, or give another folder with --state");
  }
  const std::string self = std::to_string(getpid()) + "\n";
  if (ftruncate(held.get(), 0) != 0 ||
      pwrite(held.get(), self.data(), self.size(), 0) != static_cast<ssize_t>(self.size())) {
    return Fail(ErrorKind::kForbidden, "writing " + lock + ": " + ErrnoText(errno));
  }
  return StateFolder(absolute, std::move(held));
}

}  // namespace lanekeeper
