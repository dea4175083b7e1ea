#include "operator/kubernetes/json_fields.h"

#include <algorithm>
#include <utility>

#include "worker-runtime/base/duration.h"

namespace lanekeeper::kubernetes {
namespace {

std::string TypeOf(const nlohmann::json& value) {
  if (value.is_object()) return "is an object";
  if (value.is_array()) return "is a list";
  return std::string("is a ") + value.type_name();
}

}  // namespace

void Problems::Add(const std::string& path, std::string_view clause) {
  std::string problem = path + ": " + std::string(clause);
  if (std::find(problems_.begin(), problems_.end(), problem) != problems_.end()) return;
  problems_.push_back(std::move(problem));
}

tl::unexpected<Error> Problems::AsError() const {
  std::string message;
  for (std::size_t i = 0; i < problems_.size() && i < kNamedMax; ++i) {
    if (i > 0) message += "; ";
    message += problems_[i];
  }
  if (problems_.size() > kNamedMax) {
    message += "; and " + std::to_string(problems_.size() - kNamedMax) + " more";
  }
  return Fail(ErrorKind::kInvalid, std::move(message));
}

Fields::Fields(const nlohmann::json* value, std::string path, Problems& problems)
    : value_(value), path_(std::move(path)), problems_(&problems) {
  if (value_ == nullptr || value_->is_object()) return;
  problems_->Add(path_.empty() ? "manifest" : path_, "must be an object, " + TypeOf(*value_));
  value_ = nullptr;
}

const nlohmann::json* Fields::Find(const std::string& name) const {
  if (value_ == nullptr) return nullptr;
  const auto found = value_->find(name);
  return found == value_->end() || found->is_null() ? nullptr : &*found;
}

std::string Fields::PathOf(const std::string& name) const {
  return path_.empty() ? name : path_ + "." + name;
}

std::vector<std::string> Fields::Names() const {
  std::vector<std::string> names;
  if (value_ == nullptr) return names;
  for (const auto& [name, value] : value_->items()) names.push_back(name);
  return names;
}

Fields Fields::Object(const std::string& name) const {
  return Fields(Find(name), PathOf(name), *problems_);
}

std::vector<Fields> Fields::List(const std::string& name) const {
  std::vector<Fields> entries;
  const nlohmann::json* list = Find(name);
  if (list == nullptr) return entries;
  if (!list->is_array()) {
    Refuse(name, "must be a list, " + TypeOf(*list));
    return entries;
  }
  for (std::size_t i = 0; i < list->size(); ++i) {
    entries.emplace_back(&(*list)[i], PathOf(name) + "[" + std::to_string(i) + "]", *problems_);
  }
  return entries;
}

std::string Fields::Text(const std::string& name, const std::string& fallback) const {
  const nlohmann::json* value = Find(name);
  if (value == nullptr) return fallback;
  if (value->is_string()) return value->get<std::string>();
  Refuse(name, "must be a string, " + TypeOf(*value));
  return fallback;
}

bool Fields::Flag(const std::string& name, bool fallback) const {
  const nlohmann::json* value = Find(name);
  if (value == nullptr) return fallback;
  if (value->is_boolean()) return value->get<bool>();
  Refuse(name, "must be true or false, " + TypeOf(*value));
  return fallback;
}

std::int64_t Fields::Integer(const std::string& name, std::int64_t fallback, std::int64_t min,
                             std::int64_t max) const {
  const nlohmann::json* value = Find(name);
  if (value == nullptr) return fallback;
  if (!value->is_number_integer()) {
    Refuse(name, "must be a whole number, " +
                     (value->is_number() ? "is " + value->dump() : TypeOf(*value)));
    return fallback;
  }
  // Unsigned numbers past the signed range would come out negative.
  const bool huge = value->is_number_unsigned() &&
                    value->get<std::uint64_t>() > static_cast<std::uint64_t>(max < 0 ? 0 : max);
  const std::int64_t number = huge ? max : value->get<std::int64_t>();
  if (huge || number > max) {
    Refuse(name, "must be at most " + std::to_string(max) + ", is " + value->dump());
    return fallback;
  }
  if (number < min) {
    Refuse(name, "must be at least " + std::to_string(min) + ", is " + value->dump());
    return fallback;
  }
  return number;
}

std::chrono::milliseconds Fields::Duration(const std::string& name,
                                           std::chrono::milliseconds fallback,
                                           std::chrono::milliseconds min,
                                           std::chrono::milliseconds max) const {
  const nlohmann::json* value = Find(name);
  if (value == nullptr) return fallback;
  if (!value->is_string()) {
    Refuse(name, "must be a duration such as \"30s\", " + TypeOf(*value));
    return fallback;
  }
  const std::string& text = value->get_ref<const std::string&>();
  const Result<std::chrono::milliseconds> duration = ParseDuration(text);
  if (!duration) {
    Refuse(name, duration.error().message);
    return fallback;
  }
  if (*duration < min || *duration > max) {
    Refuse(name, "must be at least " + FormatDuration(min) + " and at most " + FormatDuration(max) +
                     ", is " + text);
    return fallback;
  }
  return *duration;
}

std::size_t Fields::Choice(const std::string& name,
                           std::initializer_list<const char*> choices) const {
  const std::string text = Text(name, *choices.begin());
  const auto found = std::find(choices.begin(), choices.end(), text);
  if (found != choices.end()) return static_cast<std::size_t>(found - choices.begin());
  std::string known;
  for (const char* choice : choices) known += (known.empty() ? "" : ", ") + std::string(choice);
  Refuse(name, "\"" + text + "\" is not one of " + known);
  return 0;
}

void Fields::Refuse(const std::string& name, std::string_view clause) const {
  problems_->Add(PathOf(name), clause);
}

}  // namespace lanekeeper::kubernetes
