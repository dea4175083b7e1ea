// Bytes of a program as lines, bounded in every direction.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace lanekeeper::handlers {

inline constexpr std::size_t kOutputLineBytesMax = 4096;  // Longer lines of output come in pieces.
inline constexpr std::size_t kLastLinesMax = 10;
inline constexpr std::size_t kLastLineBytesMax = 256;  // Of each of these.

// Cuts a stream of bytes into lines, without their ends. Pure.
class LineSplitter {
 public:
  enum class LongLines {
    kInPieces,  // Nothing is lost.
    kCut,       // One call a line; what is beyond the limit is dropped.
  };
  using OnLine = std::function<void(std::string_view line)>;

  LineSplitter(std::size_t line_bytes_max, LongLines long_lines, OnLine on_line);

  void Append(std::string_view bytes);
  // At the end of the stream: a last line without an end.
  void Finish();

 private:
  void Emit();

  const std::size_t line_bytes_max_;
  const LongLines long_lines_;
  const OnLine on_line_;
  std::string line_;
};

// The end of what a program wrote, as a failure carries it. Empty lines do not count. Pure.
class LastLines {
 public:
  void Add(std::string_view line);
  const std::vector<std::string>& lines() const { return lines_; }
  void Clear() { lines_.clear(); }

 private:
  std::vector<std::string> lines_;
};

// ": <the last of them>", or nothing: what a failure's message ends with.
std::string LastOf(const std::vector<std::string>& lines);

// "<prefix>: <line>" in one write, so that the lines of several slots do not mix.
void WriteToStderr(std::string_view prefix, std::string_view line);

}  // namespace lanekeeper::handlers
