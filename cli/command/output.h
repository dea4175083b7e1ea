// What a command found, printed the way -o asks for. Rooms give JSON and name columns; nothing else
// formats output. Pure.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

namespace lanekeeper::cli {

enum class Format { kTable, kWide, kJson, kYaml };

// Adds -o/--output.
void AddOutputFlag(CLI::App& command, Format& format);

struct Column {
  std::string title;  // Capitals: "LANE".
  // Of one item. Control characters in it are shown as \xNN, so that nothing in a payload, an error
  // or a name can drive a terminal.
  std::function<std::string(const nlohmann::json&)> cell;
  bool wide = false;  // Only with -o wide.
};

// `items` is an array. Table: a line of titles and a line an item, columns as wide as their widest
// cell, two spaces between; without items `none`, e.g. "No jobs." JSON and YAML: the array as it
// is.
void PrintItems(std::ostream& out, Format format, const nlohmann::json& items,
                const std::vector<Column>& columns, const std::string& none);

struct Field {
  std::string title;  // "State"
  std::string text;   // May have lines: they are indented below. Empty: the field is left out.
};
// One thing. JSON and YAML: `item`; table and wide: "Title:  text" a field.
void PrintOne(std::ostream& out, Format format, const nlohmann::json& item,
              const std::vector<Field>& fields);

// Text for a terminal: control characters, and bytes that are no UTF-8, as \xNN.
std::string Printable(std::string_view text);

// Cells that many tables have. Missing, null or of another type: "-".
std::string TextAt(const nlohmann::json& item, const std::string& pointer);  // JSON pointer.
std::string AgeAt(const nlohmann::json& item, const std::string& pointer);   // RFC 3339 → "3m".
std::string SecondsText(std::int64_t seconds);  // "45s", "12m", "3h", "2d"

}  // namespace lanekeeper::cli
