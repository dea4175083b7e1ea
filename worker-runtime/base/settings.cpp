#include "worker-runtime/base/settings.h"

#include <charconv>
#include <cstdlib>
#include <utility>

#include "worker-runtime/base/duration.h"

namespace lanekeeper {

Settings::Settings()
    : Settings([](const std::string& name) -> std::optional<std::string> {
        const char* value = std::getenv(name.c_str());
        if (value == nullptr) return std::nullopt;
        return std::string(value);
      }) {}

Settings::Settings(Lookup lookup) : lookup_(std::move(lookup)) {}

std::string Settings::Text(const std::string& name, const std::string& fallback) {
  return lookup_(name).value_or(fallback);
}

std::string Settings::RequiredText(const std::string& name) {
  std::string value = lookup_(name).value_or("");
  if (value.empty()) problems_.push_back(name + " is not set");
  return value;
}

std::int64_t Settings::Integer(const std::string& name, std::int64_t fallback, std::int64_t min,
                               std::int64_t max) {
  const std::optional<std::string> text = lookup_(name);
  if (!text) return fallback;
  std::int64_t value = 0;
  const char* end = text->data() + text->size();
  const auto parsed = std::from_chars(text->data(), end, value);
  if (parsed.ec != std::errc{} || parsed.ptr != end || value < min || value > max) {
    problems_.push_back(name + " is \"" + *text + "\"; it must be a whole number from " +
                        std::to_string(min) + " to " + std::to_string(max));
    return fallback;
  }
  return value;
}

std::chrono::milliseconds Settings::Duration(const std::string& name,
                                             std::chrono::milliseconds fallback,
                                             std::chrono::milliseconds min,
                                             std::chrono::milliseconds max) {
  const std::optional<std::string> text = lookup_(name);
  if (!text) return fallback;
  const Result<std::chrono::milliseconds> value = ParseDuration(*text);
  if (!value || *value < min || *value > max) {
    problems_.push_back(name + " is \"" + *text + "\"; it must be a duration from " +
                        FormatDuration(min) + " to " + FormatDuration(max));
    return fallback;
  }
  return *value;
}

bool Settings::Flag(const std::string& name, bool fallback) {
  const std::optional<std::string> text = lookup_(name);
  if (!text) return fallback;
  if (*text == "true" || *text == "1" || *text == "yes") return true;
  if (*text == "false" || *text == "0" || *text == "no") return false;
  problems_.push_back(name + " is \"" + *text + "\"; it must be true or false");
  return fallback;
}

Result<void> Settings::Check() const {
  if (problems_.empty()) return {};
  std::string message;
  for (const std::string& problem : problems_) {
    if (!message.empty()) message += "; ";
    message += problem;
  }
  return Fail(ErrorKind::kInvalid, message);
}

}  // namespace lanekeeper
