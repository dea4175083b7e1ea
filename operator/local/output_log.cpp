#include "operator/local/output_log.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "operator/local/state_folder.h"

namespace lanekeeper {

namespace fs = std::filesystem;

OutputLog::OutputLog(std::string path) : path_(std::move(path)) { Open(); }

void OutputLog::Open() {
  file_ = handlers::Fd(open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  struct stat status {};
  bytes_ = file_.open() && fstat(file_.get(), &status) == 0
               ? static_cast<std::size_t>(status.st_size)
               : 0;
}

void OutputLog::Write(std::string_view bytes) {
  if (!file_.open()) return;
  if (bytes_ + bytes.size() > kOutputBytesMax) DropOlderHalf();
  const ssize_t written = write(file_.get(), bytes.data(), bytes.size());
  if (written > 0) bytes_ += static_cast<std::size_t>(written);
}

void OutputLog::DropOlderHalf() {
  const std::string all = ReadWholeFile(path_).value_or("");
  std::size_t from = all.size() > kOutputBytesMax / 2 ? all.size() - kOutputBytesMax / 2 : 0;
  // Whole lines, where there are any.
  if (const std::size_t line = all.find('\n', from); line != std::string::npos) from = line + 1;
  const Result<void> kept = ReplaceFile(path_, all.substr(from));
  // Bounded on a full disk, too.
  if (!kept && truncate(path_.c_str(), 0) != 0) file_.Close();
  if (file_.open()) Open();
}

void RemoveOldLogs(const std::string& folder, std::size_t files_max,
                   const std::set<std::string>& keep) {
  std::error_code ignored;
  std::vector<std::pair<fs::file_time_type, std::string>> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, ignored)) {
    if (entry.path().extension() != ".log") continue;
    files.emplace_back(entry.last_write_time(ignored), entry.path().string());
  }
  std::ranges::sort(files);
  std::size_t left = files.size();
  for (const auto& [written, path] : files) {
    if (left <= files_max) return;
    if (keep.contains(path)) continue;
    if (fs::remove(path, ignored)) --left;
  }
}

}  // namespace lanekeeper
