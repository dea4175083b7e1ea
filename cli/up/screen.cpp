#include "cli/up/screen.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace lanekeeper::up {
namespace {

struct Size {
  int columns = 80;
  int lines = 24;
};

Size TerminalSize() {
  winsize size{};
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0) {
    return {};
  }
  return {size.ws_col, size.ws_row};
}

}  // namespace

Screen::Screen() : on_terminal_(isatty(STDOUT_FILENO) == 1) {}

void Screen::Show(const std::vector<std::string>& notes, const std::vector<LaneRow>& rows) {
  if (on_terminal_) {
    Redraw(notes, rows);
  } else {
    ShowLines(notes, rows);
  }
}

void Screen::ShowLines(const std::vector<std::string>& notes, const std::vector<LaneRow>& rows) {
  std::string text;
  for (const std::string& note : notes) text += note + "\n";
  for (const LaneRow& row : rows) {
    std::string line = LaneLine(row);
    std::string& last = lines_[row.key];
    if (line == last) continue;
    text += line + "\n";
    last = std::move(line);
  }
  std::erase_if(lines_, [&](const auto& entry) {
    return std::ranges::find(rows, entry.first, &LaneRow::key) == rows.end();
  });
  if (text.empty()) return;
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

void Screen::Redraw(const std::vector<std::string>& notes, const std::vector<LaneRow>& rows) {
  const Size size = TerminalSize();
  // One line stays for the cursor.
  std::vector<std::string> table = LaneTable(rows, size.columns, size.lines - 1);
  if (table == table_ && notes.empty()) return;
  std::string text;
  if (!table_.empty()) text += "\x1b[" + std::to_string(table_.size()) + "A\r";
  text += "\x1b[J";
  for (const std::string& note : notes) text += note + "\n";
  for (const std::string& line : table) text += line + "\n";
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
  table_ = std::move(table);
}

}  // namespace lanekeeper::up
