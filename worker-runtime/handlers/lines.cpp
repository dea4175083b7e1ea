#include "worker-runtime/handlers/lines.h"

#include <unistd.h>

#include <algorithm>
#include <utility>

namespace lanekeeper::handlers {

LineSplitter::LineSplitter(std::size_t line_bytes_max, LongLines long_lines, OnLine on_line)
    : line_bytes_max_(line_bytes_max), long_lines_(long_lines), on_line_(std::move(on_line)) {}

void LineSplitter::Append(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::size_t end = std::min(bytes.find('\n'), bytes.size());
    const std::size_t take = std::min(end, line_bytes_max_ - line_.size());
    line_.append(bytes.substr(0, take));
    if (take < end && long_lines_ == LongLines::kInPieces) {
      bytes.remove_prefix(take);
      Emit();
      continue;
    }
    bytes.remove_prefix(end);
    if (bytes.empty()) return;
    bytes.remove_prefix(1);
    Emit();
  }
}

void LineSplitter::Finish() {
  if (!line_.empty()) Emit();
}

void LineSplitter::Emit() {
  on_line_(line_);
  line_.clear();
}

void LastLines::Add(std::string_view line) {
  if (line.empty()) return;
  if (lines_.size() == kLastLinesMax) lines_.erase(lines_.begin());
  lines_.emplace_back(line.substr(0, kLastLineBytesMax));
}

std::string LastOf(const std::vector<std::string>& lines) {
  return lines.empty() ? "" : ": " + lines.back();
}

void WriteToStderr(std::string_view prefix, std::string_view line) {
  std::string text(prefix);
  text.append(": ").append(line).append("\n");
  std::string_view left = text;
  while (!left.empty()) {
    const ssize_t written = write(STDERR_FILENO, left.data(), left.size());
    if (written <= 0) return;
    left.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace lanekeeper::handlers
