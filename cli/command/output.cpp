#include "cli/command/output.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "operator/manifest/yaml_text.h"
#include "worker-runtime/base/text.h"
#include "worker-runtime/job/rfc3339.h"

namespace lanekeeper::cli {
namespace {

using nlohmann::json;

bool IsContinuation(char letter) { return (static_cast<unsigned char>(letter) & 0xC0) == 0x80; }

// Bytes of the character that begins with `letter`, as UTF-8 says; 1 for what begins none.
std::size_t BytesOf(char letter) {
  const auto byte = static_cast<unsigned char>(letter);
  if (byte >= 0xF0) return 4;
  if (byte >= 0xE0) return 3;
  return byte >= 0xC0 ? 2 : 1;
}

// C0, DEL, and C1, which is two bytes in UTF-8.
bool IsControl(std::string_view character) {
  const auto first = static_cast<unsigned char>(character[0]);
  if (character.size() == 1) return first < 0x20 || first == 0x7F;
  return character.size() == 2 && first == 0xC2 && static_cast<unsigned char>(character[1]) < 0xA0;
}

std::size_t WidthOf(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char letter) { return !IsContinuation(letter); }));
}

void PrintJson(std::ostream& out, const json& value) {
  out << value.dump(2, ' ', /*ensure_ascii=*/false, json::error_handler_t::replace) << '\n';
}

void PrintYaml(std::ostream& out, const json& value) {
  out << WriteYaml(nlohmann::ordered_json(value));
}

using Row = std::vector<std::string>;

void PrintRow(std::ostream& out, const Row& row, const std::vector<std::size_t>& widths) {
  std::string line;
  for (std::size_t n = 0; n < row.size(); ++n) {
    line += row[n];
    if (n + 1 < row.size()) line.append(widths[n] - WidthOf(row[n]) + 2, ' ');
  }
  out << line << '\n';
}

void PrintTable(std::ostream& out, bool wide, const json& items,
                const std::vector<Column>& columns) {
  std::vector<Row> rows(1);
  std::vector<const Column*> shown;
  for (const Column& column : columns) {
    if (column.wide && !wide) continue;
    shown.push_back(&column);
    rows.front().push_back(column.title);
  }
  for (const json& item : items) {
    Row row;
    row.reserve(shown.size());
    for (const Column* column : shown) {
      std::string cell = Printable(column->cell(item));
      row.push_back(cell.empty() ? "-" : std::move(cell));
    }
    rows.push_back(std::move(row));
  }
  std::vector<std::size_t> widths(shown.size(), 0);
  for (const Row& row : rows) {
    for (std::size_t n = 0; n < row.size(); ++n) widths[n] = std::max(widths[n], WidthOf(row[n]));
  }
  for (const Row& row : rows) PrintRow(out, row, widths);
}

const json* Find(const json& item, const std::string& pointer) {
  const json::json_pointer place(pointer);
  return item.contains(place) ? &item.at(place) : nullptr;
}

void PrintField(std::ostream& out, const Field& field, std::size_t width) {
  std::string title = field.title + ":";
  if (field.text.find('\n') == std::string::npos) {
    title.append(width - WidthOf(field.title) + 2, ' ');
    out << title << Printable(field.text) << '\n';
    return;
  }
  out << title << '\n';
  for (std::size_t begin = 0; begin < field.text.size();) {
    const std::size_t end = std::min(field.text.find('\n', begin), field.text.size());
    out << "  " << Printable(std::string_view(field.text).substr(begin, end - begin)) << '\n';
    begin = end + 1;
  }
}

}  // namespace

std::string Printable(std::string_view text) {
  std::string shown;
  for (std::size_t begin = 0; begin < text.size();) {
    std::string_view character = text.substr(begin, BytesOf(text[begin]));
    const bool whole = text[begin] == '\0' || IsUtf8Text(character);
    if (!whole) character = text.substr(begin, 1);
    begin += character.size();
    if (whole && !IsControl(character)) {
      shown += character;
      continue;
    }
    for (const char letter : character) {
      std::array<char, 5> escaped{};
      std::snprintf(escaped.data(), escaped.size(), "\\x%02x", static_cast<unsigned char>(letter));
      shown += escaped.data();
    }
  }
  return shown;
}

void AddOutputFlag(CLI::App& command, Format& format) {
  static const std::map<std::string, Format> kFormats{{"table", Format::kTable},
                                                      {"wide", Format::kWide},
                                                      {"json", Format::kJson},
                                                      {"yaml", Format::kYaml}};
  // The text of the check would be told beside the name of the type.
  command
      .add_option_function<std::string>(
          "-o,--output", [&format](const std::string& text) { format = kFormats.at(text); },
          "table, wide, json or yaml [table]")
      ->check(CLI::IsMember(kFormats).description(""))
      ->type_name("FORMAT");
}

void PrintItems(std::ostream& out, Format format, const json& items,
                const std::vector<Column>& columns, const std::string& none) {
  if (format == Format::kJson) return PrintJson(out, items);
  if (format == Format::kYaml) return PrintYaml(out, items);
  if (items.empty()) {
    out << none << '\n';
    return;
  }
  PrintTable(out, format == Format::kWide, items, columns);
}

void PrintOne(std::ostream& out, Format format, const json& item,
              const std::vector<Field>& fields) {
  if (format == Format::kJson) return PrintJson(out, item);
  if (format == Format::kYaml) return PrintYaml(out, item);
  std::size_t width = 0;
  for (const Field& field : fields) {
    if (!field.text.empty()) width = std::max(width, WidthOf(field.title));
  }
  for (const Field& field : fields) {
    if (!field.text.empty()) PrintField(out, field, width);
  }
}

std::string TextAt(const json& item, const std::string& pointer) {
  const json* found = Find(item, pointer);
  if (found == nullptr) return "-";
  if (found->is_string()) {
    const auto& text = found->get_ref<const std::string&>();
    return text.empty() ? "-" : text;
  }
  return found->is_number() || found->is_boolean() ? found->dump() : "-";
}

std::string AgeAt(const json& item, const std::string& pointer) {
  const json* found = Find(item, pointer);
  if (found == nullptr || !found->is_string()) return "-";
  const auto time = ParseRfc3339(found->get_ref<const std::string&>());
  if (!time) return "-";
  const auto age = std::chrono::system_clock::now() - *time;
  return SecondsText(std::chrono::duration_cast<std::chrono::seconds>(age).count());
}

std::string SecondsText(std::int64_t seconds) {
  constexpr std::int64_t kMinute = 60;
  constexpr std::int64_t kHour = 60 * kMinute;
  constexpr std::int64_t kDay = 24 * kHour;
  seconds = std::max<std::int64_t>(seconds, 0);  // A clock that is a little ahead.
  if (seconds < 2 * kMinute) return std::to_string(seconds) + "s";
  if (seconds < 2 * kHour) return std::to_string(seconds / kMinute) + "m";
  if (seconds < 2 * kDay) return std::to_string(seconds / kHour) + "h";
  return std::to_string(seconds / kDay) + "d";
}

}  // namespace lanekeeper::cli
