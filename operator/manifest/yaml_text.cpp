#include "operator/manifest/yaml_text.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "worker-runtime/base/text.h"

namespace lanekeeper {
namespace {

using nlohmann::ordered_json;

bool IsLetterOrDigit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool IsWord(std::string_view text) {
  constexpr std::array<std::string_view, 9> kWords = {"y",     "n",  "yes", "no",  "true",
                                                      "false", "on", "off", "null"};
  return std::any_of(kWords.begin(), kWords.end(),
                     [text](std::string_view word) { return SameIgnoringCase(word, text); });
}

// Means the same without quotes, whoever reads it: no number, boolean, null or date.
bool IsPlain(const std::string& text) {
  if (text.empty() || IsWord(text)) return false;
  const char first = text.front();
  if (!IsLetterOrDigit(first) && first != '/' && first != '_') return false;
  if (first >= '0' && first <= '9') {
    // "30s" and "512Mi" are texts; "1_000", "0x1f", "1e3" and "2026-11-26" may be something else.
    const std::size_t unit = text.find_first_not_of("0123456789");
    if (unit == std::string::npos || text.size() - unit > 2) return false;
    return text.find_first_not_of("smhKMGTPi", unit) == std::string::npos;
  }
  if (text.back() == ':') return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (IsLetterOrDigit(c) || std::string_view("_-./@").find(c) != std::string_view::npos) continue;
    if (c == ':' && text[i + 1] != ' ') continue;
    if (c == ' ' && i + 1 < text.size() && text[i + 1] != ' ') continue;
    return false;
  }
  return text.back() != ' ';
}

// As a block under `|`: lines of printable text, none of which begins the block with a space.
bool IsBlock(const std::string& text) {
  const std::size_t lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  if (lines == 0 || text.front() == ' ' || text.front() == '\n' || text.front() == '\t') {
    return false;
  }
  if (text.ends_with("\n\n")) return false;
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return c == '\n' || (byte >= 0x20 && byte < 0x7F);
  });
}

// What JSON leaves as it is and a terminal may obey: DEL, and C1, which is two bytes in UTF-8.
bool IsTerminalControl(std::string_view text) {
  if (text.starts_with('\x7F')) return true;
  return text.size() >= 2 && text[0] == '\xC2' && static_cast<unsigned char>(text[1]) < 0xA0;
}

std::string Quoted(const ordered_json& value) {
  const std::string text = value.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
  std::string quoted;
  quoted.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (!IsTerminalControl(std::string_view(text).substr(i))) {
      quoted += text[i];
      continue;
    }
    if (text[i] == '\xC2') ++i;
    constexpr std::string_view kHex = "0123456789abcdef";
    const auto byte = static_cast<unsigned char>(text[i]);
    quoted.append("\\u00").append({kHex[byte >> 4], kHex[byte & 15]});
  }
  return quoted;
}

std::string Key(const std::string& name) { return IsPlain(name) ? name : Quoted(name); }

class Writer {
 public:
  // After "name:" or "-", on the same line; ends the line.
  void Value(const ordered_json& value, std::size_t indent) {
    if (value.is_object() && !value.empty()) {
      text_ += '\n';
      Object(value, indent, false);
    } else if (value.is_array() && !value.empty()) {
      text_ += '\n';
      List(value, indent);
    } else if (value.is_string()) {
      Text(value, indent);
    } else {
      text_ += ' ' + Quoted(value) + '\n';
    }
  }

  void Object(const ordered_json& object, std::size_t indent, bool first_is_indented) {
    for (const auto& [name, value] : object.items()) {
      if (!first_is_indented) text_.append(indent, ' ');
      first_is_indented = false;
      text_ += Key(name) + ':';
      // A list stands below its name, as kubectl writes it.
      Value(value, value.is_array() ? indent : indent + 2);
    }
  }

  void List(const ordered_json& list, std::size_t indent) {
    for (const ordered_json& entry : list) {
      text_.append(indent, ' ');
      text_ += '-';
      if (entry.is_object() && !entry.empty()) {
        text_ += ' ';
        Object(entry, indent + 2, true);
      } else {
        Value(entry, indent + 2);
      }
    }
  }

  std::string Take() { return std::move(text_); }

 private:
  void Text(const ordered_json& value, std::size_t indent) {
    const auto& text = value.get_ref<const std::string&>();
    if (!IsBlock(text)) {
      text_ += ' ' + (IsPlain(text) ? text : Quoted(value)) + '\n';
      return;
    }
    text_ += text.back() == '\n' ? " |\n" : " |-\n";
    std::size_t start = 0;
    while (start < text.size()) {
      const std::size_t end = std::min(text.find('\n', start), text.size());
      if (end > start) text_.append(indent, ' ').append(text, start, end - start);
      text_ += '\n';
      start = end + 1;
    }
  }

  std::string text_;
};

}  // namespace

std::string WriteYaml(const ordered_json& value) {
  Writer writer;
  if (value.is_object() && !value.empty()) {
    writer.Object(value, 0, false);
    return writer.Take();
  }
  if (value.is_array() && !value.empty()) {
    writer.List(value, 0);
    return writer.Take();
  }
  return Quoted(value) + '\n';
}

}  // namespace lanekeeper
