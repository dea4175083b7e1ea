// Log lines for a search: time, level, component, a short event, then key=value pairs.
//
//   2026-08-21T10:15:04.120Z info reconciler scaled pool=studio/media lane=short workers_to=5
//
// Changes are logged at info, every pass at debug, payloads never. Any thread.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace lanekeeper::log {

enum class Level { kDebug, kInfo, kWarning, kError };

// One key=value pair. Values with spaces, quotes or control characters are quoted and escaped, so
// that a message from outside can never forge a second line.
class Field {
 public:
  Field(std::string_view key, std::string_view value) : key_(key), value_(value) {}
  Field(std::string_view key, const char* value) : key_(key), value_(value) {}
  Field(std::string_view key, const std::string& value) : key_(key), value_(value) {}
  Field(std::string_view key, bool value) : key_(key), value_(value ? "true" : "false") {}
  template <std::integral T>
  Field(std::string_view key, T value) : key_(key), value_(std::to_string(value)) {}
  template <std::floating_point T>
  Field(std::string_view key, T value) : key_(key), value_(std::to_string(value)) {}

  std::string_view key() const { return key_; }
  const std::string& value() const { return value_; }

 private:
  std::string_view key_;
  std::string value_;
};

// Call once, in main, before the first thread. Lines go to standard error.
void SetLevel(Level level);
// Accepts debug, info, warning, error. Returns false, and changes nothing, for another word.
bool SetLevel(std::string_view name);

void Write(Level level, std::string_view component, std::string_view event,
           std::initializer_list<Field> fields = {});

inline void Debug(std::string_view component, std::string_view event,
                  std::initializer_list<Field> fields = {}) {
  Write(Level::kDebug, component, event, fields);
}
inline void Info(std::string_view component, std::string_view event,
                 std::initializer_list<Field> fields = {}) {
  Write(Level::kInfo, component, event, fields);
}
inline void Warning(std::string_view component, std::string_view event,
                    std::initializer_list<Field> fields = {}) {
  Write(Level::kWarning, component, event, fields);
}
inline void Error(std::string_view component, std::string_view event,
                  std::initializer_list<Field> fields = {}) {
  Write(Level::kError, component, event, fields);
}

// The text after the level of a line; what Write prints. For tests.
std::string Format(std::string_view component, std::string_view event,
                   std::initializer_list<Field> fields);

}  // namespace lanekeeper::log
