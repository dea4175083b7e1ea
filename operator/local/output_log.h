// What a child process writes, kept in a file of bounded size: past kOutputBytesMax its older half
// goes. Nothing fails: a full disk loses output, not workers.
#pragma once

#include <cstddef>
#include <set>
#include <string>
#include <string_view>

#include "worker-runtime/handlers/process.h"

namespace lanekeeper {

inline constexpr std::size_t kOutputBytesMax = 1 << 20;
inline constexpr std::size_t kOutputFilesMax = 200;

// One thread at a time.
class OutputLog {
 public:
  // Appends to what is there.
  explicit OutputLog(std::string path);
  void Write(std::string_view bytes);

 private:
  void Open();
  void DropOlderHalf();

  std::string path_;
  handlers::Fd file_;
  std::size_t bytes_ = 0;
};

// Removes the oldest *.log files of `folder` but for `files_max`, never one of `keep` (full paths).
void RemoveOldLogs(const std::string& folder, std::size_t files_max,
                   const std::set<std::string>& keep);

}  // namespace lanekeeper
