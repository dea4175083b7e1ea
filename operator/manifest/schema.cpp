#include "operator/manifest/schema.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <regex>
#include <set>
#include <string_view>
#include <utility>

#include "operator/manifest/shown.h"

namespace lanekeeper {
namespace {

using nlohmann::json;

// Deeper than any schema; values are no deeper than the schema that is followed.
constexpr int kDepthMax = 64;
// A pattern is tried on no longer text: std::regex needs stack by the length of it.
constexpr std::size_t kPatternBytesMax = 4096;

std::size_t CodePoints(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string TypeOf(const json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "a list";
  if (value.is_string()) return "a string";
  if (value.is_boolean()) return "true or false";
  return value.is_number_integer() ? "a whole number" : "a number";
}

std::string Wanted(const std::string& type) {
  if (type == "object") return "an object";
  if (type == "array") return "a list";
  if (type == "boolean") return "true or false";
  if (type == "integer") return "a whole number";
  return type == "string" ? "a string" : "a number";
}

bool HasType(const json& value, const std::string& type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_boolean();
  if (type == "integer") return value.is_number_integer();
  return type != "number" || value.is_number();
}

bool Flag(const json& schema, const char* name) {
  const auto found = schema.find(name);
  return found != schema.end() && found->is_boolean() && found->get<bool>();
}

const json* Member(const json& object, const std::string& name) {
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::string Lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

// Edits that make one of the other, at most the longer one's length.
std::size_t Distance(const std::string& from, const std::string& to) {
  std::vector<std::size_t> row(to.size() + 1);
  for (std::size_t j = 0; j <= to.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= from.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= to.size(); ++j) {
      const std::size_t replaced = diagonal + (from[i - 1] == to[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[to.size()];
}

// Where a field of that name is, one or two objects further down; empty when it is nowhere.
std::string Below(const json& schema, const std::string& name, int depth) {
  const json* properties = Member(schema, "properties");
  if (properties == nullptr) return "";
  for (const auto& [member, inner] : properties->items()) {
    const json* fields = Member(inner, "properties");
    if (fields != nullptr && fields->contains(name)) return member + "." + name;
  }
  if (depth == 0) return "";
  for (const auto& [member, inner] : properties->items()) {
    const std::string found = Below(inner, name, depth - 1);
    if (!found.empty()) return member + "." + found;
  }
  return "";
}

std::string DidYouMean(const json& schema, const std::string& name) {
  constexpr std::size_t kNameMax = 64;
  if (name.size() > kNameMax) return "";
  const json* properties = Member(schema, "properties");
  if (properties == nullptr) return "";
  std::string nearest;
  // One edit in a short name; two, which swapped letters are, or a third of a longer one.
  constexpr std::size_t kShort = 4;
  std::size_t nearest_distance =
      name.size() < kShort ? 2 : std::max<std::size_t>(2, name.size() / 3) + 1;
  for (const auto& [known, inner] : properties->items()) {
    const std::size_t distance = Distance(Lower(name), Lower(known));
    if (distance < nearest_distance) {
      nearest = known;
      nearest_distance = distance;
    }
  }
  if (nearest.empty()) nearest = Below(schema, name, 1);
  return nearest.empty() ? "" : "; did you mean " + nearest + "?";
}

class Checker {
 public:
  void Check(const json& schema, const json& value, const std::string& path, int depth) {
    if (value.is_null() || depth > kDepthMax) return;
    const bool int_or_string = Flag(schema, "x-kubernetes-int-or-string");
    if (int_or_string && !value.is_number_integer() && !value.is_string()) {
      return Refuse(path, "must be a string or a whole number, is " + TypeOf(value));
    }
    const json* type = Member(schema, "type");
    if (!int_or_string && type != nullptr && !HasType(value, type->get<std::string>())) {
      return Refuse(path, "must be " + Wanted(type->get<std::string>()) + ", is " + TypeOf(value));
    }
    if (!CheckEnum(schema, value, path)) return;
    if (value.is_string()) CheckText(schema, value.get_ref<const std::string&>(), path);
    if (value.is_number()) CheckNumber(schema, value, path);
    if (value.is_array()) CheckList(schema, value, path, depth);
    if (value.is_object()) CheckObject(schema, value, path, depth);
  }

  std::vector<FieldProblem> Take() { return std::move(problems_); }

 private:
  void Refuse(const std::string& path, std::string problem) {
    if (problems_.size() < kFieldProblemsMax) problems_.push_back({path, std::move(problem)});
  }

  bool CheckEnum(const json& schema, const json& value, const std::string& path) {
    const json* choices = Member(schema, "enum");
    if (choices == nullptr || std::find(choices->begin(), choices->end(), value) != choices->end())
      return true;
    std::string known;
    for (const json& choice : *choices) {
      known += (known.empty() ? "" : ", ") +
               (choice.is_string() ? choice.get<std::string>() : choice.dump());
    }
    Refuse(path, Shown(value) + " is not one of " + known);
    return false;
  }

  void CheckText(const json& schema, const std::string& text, const std::string& path) {
    const json* max = Member(schema, "maxLength");
    const std::size_t length = CodePoints(text);
    if (max != nullptr && length > max->get<std::size_t>()) {
      return Refuse(
          path, "must have at most " + max->dump() + " characters, has " + std::to_string(length));
    }
    const json* min = Member(schema, "minLength");
    if (min != nullptr && length < min->get<std::size_t>()) {
      return Refuse(path, text.empty() ? "must not be empty"
                                       : "must have at least " + min->dump() + " characters, has " +
                                             std::to_string(length));
    }
    const json* pattern = Member(schema, "pattern");
    if (pattern == nullptr || text.size() > kPatternBytesMax) return;
    const auto& expression = pattern->get_ref<const std::string&>();
    if (!std::regex_search(text, std::regex(expression, std::regex::ECMAScript))) {
      Refuse(path, "must match " + expression + ", is " + Shown(json(text)));
    }
  }

  void CheckNumber(const json& schema, const json& value, const std::string& path) {
    const auto number = value.get<double>();
    const json* min = Member(schema, "minimum");
    const json* max = Member(schema, "maximum");
    if (min != nullptr && number < min->get<double>()) {
      Refuse(path, "must be at least " + min->dump() + ", is " + value.dump());
    } else if (max != nullptr && number > max->get<double>()) {
      Refuse(path, "must be at most " + max->dump() + ", is " + value.dump());
    }
  }

  bool CheckCount(const json& schema, const char* min_name, const char* max_name,
                  const std::string& what, std::size_t count, const std::string& path) {
    const json* min = Member(schema, min_name);
    const json* max = Member(schema, max_name);
    if (min != nullptr && count < min->get<std::size_t>()) {
      Refuse(path,
             "must have at least " + min->dump() + " " + what + ", has " + std::to_string(count));
      return false;
    }
    if (max != nullptr && count > max->get<std::size_t>()) {
      Refuse(path,
             "must have at most " + max->dump() + " " + what + ", has " + std::to_string(count));
      return false;
    }
    return true;
  }

  void CheckList(const json& schema, const json& list, const std::string& path, int depth) {
    if (!CheckCount(schema, "minItems", "maxItems", "entries", list.size(), path)) return;
    const json* items = Member(schema, "items");
    if (items == nullptr) return;
    const json* keys = Member(schema, "x-kubernetes-list-map-keys");
    std::set<json> seen;
    for (std::size_t i = 0; i < list.size(); ++i) {
      const std::string entry_path = path + "[" + std::to_string(i) + "]";
      if (list[i].is_null()) Refuse(entry_path, "is missing");
      Check(*items, list[i], entry_path, depth + 1);
      if (keys == nullptr || !list[i].is_object()) continue;
      CheckKey(*keys, list[i], entry_path, seen);
    }
  }

  void CheckKey(const json& keys, const json& entry, const std::string& path,
                std::set<json>& seen) {
    json key = json::array();
    for (const json& name : keys) {
      const json* value = Member(entry, name.get<std::string>());
      if (value == nullptr) return;  // Said as a field that is missing.
      key.push_back(*value);
    }
    const std::string name = keys.front().get<std::string>();
    if (seen.insert(key).second) return;
    Refuse(path, "has the same " + name + " as another entry: " + Shown(key.front()));
  }

  void CheckObject(const json& schema, const json& object, const std::string& path, int depth) {
    if (!CheckCount(schema, "minProperties", "maxProperties", "fields", object.size(), path))
      return;
    const json* required = Member(schema, "required");
    if (required != nullptr) {
      for (const json& name : *required) {
        if (Member(object, name.get<std::string>()) == nullptr) {
          Refuse(PathOf(path, name.get<std::string>()), "is missing");
        }
      }
    }
    const json* properties = Member(schema, "properties");
    const json* additional = Member(schema, "additionalProperties");
    const bool open = Flag(schema, "x-kubernetes-preserve-unknown-fields") ||
                      (properties == nullptr && additional == nullptr);
    for (const auto& [name, value] : object.items()) {
      const json* known = properties == nullptr ? nullptr : Member(*properties, name);
      if (known == nullptr) known = additional;
      if (known != nullptr) {
        Check(*known, value, PathOf(path, name), depth + 1);
      } else if (!open) {
        Refuse(PathOf(path, name), "unknown field" + DidYouMean(schema, name));
      }
    }
  }

  static std::string PathOf(const std::string& path, const std::string& name) {
    return path.empty() ? name : path + "." + name;
  }

  std::vector<FieldProblem> problems_;
};

}  // namespace

std::vector<FieldProblem> CheckSchema(const json& schema, const json& value,
                                      const std::string& path) {
  Checker checker;
  checker.Check(schema, value, path, 0);
  return checker.Take();
}

}  // namespace lanekeeper
