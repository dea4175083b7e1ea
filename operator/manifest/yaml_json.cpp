#include "operator/manifest/yaml_json.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

namespace lanekeeper {
namespace {

// Deeper than any pod template; a file that nests without end must not take the stack with it.
constexpr int kNestingMax = 64;
// Values after aliases are followed: 16 lanes with everything they may have come to a tenth.
constexpr std::size_t kValuesMax = 200'000;
// Fields of one object: an object that keeps its order finds a field by looking at all of them.
constexpr std::size_t kFieldsMax = 4096;
// How many brackets may be open at once: the parser goes down a call for each, before we see any.
constexpr int kBracketsMax = 64;

constexpr const char* kMergeKey = "<<";

bool IsOneOf(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

// Optional sign, then 0x, 0b, 0o or 0 with digits of that base, or a decimal.
std::optional<std::int64_t> IntegerOf(std::string_view text) {
  const bool negative = text.front() == '-';
  if (negative || text.front() == '+') text.remove_prefix(1);
  int base = 10;
  if (text.size() > 1 && text.front() == '0') {
    const char kind = text[1];
    base = kind == 'x' || kind == 'X' ? 16 : kind == 'b' || kind == 'B' ? 2 : 8;
    text.remove_prefix(base != 8 || kind == 'o' || kind == 'O' ? 2 : 1);
  }
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, base);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (number > static_cast<std::uint64_t>(INT64_MAX)) return std::nullopt;
  return negative ? -static_cast<std::int64_t>(number) : static_cast<std::int64_t>(number);
}

std::optional<double> FractionOf(std::string_view text) {
  if (text.front() == '+') text.remove_prefix(1);
  // from_chars also takes "inf" and "nan".
  if (text.find_first_not_of("-+.0123456789eE") != std::string_view::npos) return std::nullopt;
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

template <typename Json>
Json NumberOf(const std::string& written) {
  std::string digits = written;
  std::erase(digits, '_');
  if (digits.empty()) return written;
  if (const auto whole = IntegerOf(digits)) return *whole;
  const auto fraction = FractionOf(digits);
  if (!fraction) return written;
  // JSON does not tell 8.0 from 8, and neither does the API server.
  constexpr double kWholeMax = 9e15;
  if (std::nearbyint(*fraction) == *fraction && std::abs(*fraction) < kWholeMax) {
    return static_cast<std::int64_t>(*fraction);
  }
  return *fraction;
}

// A scalar without quotes.
template <typename Json>
Json PlainOf(const std::string& text) {
  if (IsOneOf(text, {"", "~", "null", "Null", "NULL"})) return nullptr;
  if (IsOneOf(text, {"y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"})) {
    return true;
  }
  if (IsOneOf(text, {"n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"})) {
    return false;
  }
  constexpr std::string_view kNumberStarts = "+-.0123456789";
  if (kNumberStarts.find(text.front()) != std::string_view::npos) return NumberOf<Json>(text);
  return text;
}

template <typename Json>
class Reader {
 public:
  Json Read(const YAML::Node& node, int depth) {
    if (depth > kNestingMax) throw YAML::Exception(node.Mark(), "nested too deeply");
    if (++values_ > kValuesMax) {
      throw YAML::Exception(
          node.Mark(), "more than " + std::to_string(kValuesMax) + " values, aliases followed");
    }
    if (node.IsMap()) return ReadMap(node, depth);
    if (node.IsSequence()) {
      Json list = Json::array();
      for (const YAML::Node& entry : node) list.push_back(Read(entry, depth + 1));
      return list;
    }
    if (!node.IsScalar()) return nullptr;
    const std::string& tag = node.Tag();
    if (tag == "!" || tag == "tag:yaml.org,2002:str") return node.Scalar();
    return PlainOf<Json>(node.Scalar());
  }

 private:
  Json ReadMap(const YAML::Node& node, int depth) {
    if (node.size() > kFieldsMax) {
      throw YAML::Exception(node.Mark(), "more than " + std::to_string(kFieldsMax) + " fields");
    }
    Json object = Json::object();
    Json merged = Json::object();
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) {
        throw YAML::Exception(entry.first.Mark(),
                              "the name of a field must be a word; if this is a template such as "
                              "{{ .Values.x }}, render it first");
      }
      const std::string& name = entry.first.Scalar();
      if (name == kMergeKey && entry.first.Tag() != "!") {
        Merge(merged, Read(entry.second, depth + 1), entry.second.Mark());
      } else {
        object[name] = Read(entry.second, depth + 1);
      }
    }
    for (const auto& [name, value] : merged.items()) {
      if (!object.contains(name)) object[name] = value;
    }
    return object;
  }

  // The first that has a field wins.
  static void Merge(Json& into, const Json& from, const YAML::Mark& mark) {
    if (from.is_array()) {
      for (const Json& entry : from) Merge(into, entry, mark);
      return;
    }
    if (!from.is_object()) throw YAML::Exception(mark, "<< must be an object or a list of objects");
    for (const auto& [name, value] : from.items()) {
      if (!into.contains(name)) into[name] = value;
    }
  }

  std::size_t values_ = 0;
};

template <typename Json>
bool IsList(const Json& value) {
  if (!value.is_object() || !value.contains("kind") || !value.contains("items")) return false;
  const Json& kind = value.at("kind");
  return kind.is_string() && kind.template get_ref<const std::string&>().ends_with("List") &&
         value.at("items").is_array();
}

// Brackets inside of strings and comments count too: few texts have 64 of them open.
bool OpensTooManyBrackets(const std::string& text) {
  int open = 0;
  for (const char c : text) {
    if (c == '{' || c == '[') ++open;
    if (c == '}' || c == ']') open = std::max(0, open - 1);
    if (open > kBracketsMax) return true;
  }
  return false;
}

template <typename Json>
Result<std::vector<YamlObject<Json>>> ReadAll(const std::string& text) {
  if (text.size() > kManifestBytesMax) {
    return Fail(ErrorKind::kInvalid, "longer than " + std::to_string(kManifestBytesMax) +
                                         " bytes: the API server takes no such request");
  }
  if (OpensTooManyBrackets(text)) {
    return Fail(ErrorKind::kInvalid, "not YAML that can be read: more than " +
                                         std::to_string(kBracketsMax) + " brackets open at once");
  }
  try {
    std::vector<YamlObject<Json>> objects;
    Reader<Json> reader;
    std::size_t document = 0;
    for (const YAML::Node& root : YAML::LoadAll(text)) {
      ++document;
      Json value = reader.Read(root, 0);
      if (value.is_null()) continue;
      if (!IsList(value)) {
        objects.push_back({document, std::move(value)});
        continue;
      }
      for (Json& item : value["items"]) objects.push_back({document, std::move(item)});
    }
    return objects;
  } catch (const YAML::Exception& error) {
    return Fail(ErrorKind::kInvalid, std::string("not YAML: ") + error.what());
  } catch (const nlohmann::json::exception& error) {
    return Fail(ErrorKind::kInvalid, std::string("not YAML that can be read: ") + error.what());
  }
}

}  // namespace

Result<std::vector<YamlObject<nlohmann::json>>> ReadYaml(const std::string& text) {
  return ReadAll<nlohmann::json>(text);
}

Result<std::vector<YamlObject<nlohmann::ordered_json>>> ReadYamlInOrder(const std::string& text) {
  return ReadAll<nlohmann::ordered_json>(text);
}

}  // namespace lanekeeper
