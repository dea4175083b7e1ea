#include "worker-runtime/base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cctype>
#include <cstdio>
#include <memory>

namespace lanekeeper::log {
namespace {

spdlog::level::level_enum ToSpdlog(Level level) {
  switch (level) {
    case Level::kDebug:
      return spdlog::level::debug;
    case Level::kInfo:
      return spdlog::level::info;
    case Level::kWarning:
      return spdlog::level::warn;
    case Level::kError:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

spdlog::logger& Logger() {
  static const std::shared_ptr<spdlog::logger> logger = [] {
    auto made = std::make_shared<spdlog::logger>("lanekeeper",
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
    // 2026-08-21T10:15:04.120Z info …
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
    made->flush_on(spdlog::level::debug);
    return made;
  }();
  return *logger;
}

bool NeedsQuotes(std::string_view value) {
  if (value.empty()) return true;
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= ' ' || c == '"' || c == '=' || c == '\\' || byte == 0x7f) return true;
  }
  return false;
}

void AppendQuoted(std::string& line, std::string_view value) {
  line += '"';
  for (const char c : value) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      line += '\\';
      line += c;
    } else if (c == '\n') {
      line += "\\n";
    } else if (byte < ' ' || byte == 0x7f) {
      char escaped[8];
      std::snprintf(escaped, sizeof escaped, "\\x%02x", byte);
      line += escaped;
    } else {
      line += c;
    }
  }
  line += '"';
}

}  // namespace

void SetLevel(Level level) { Logger().set_level(ToSpdlog(level)); }

bool SetLevel(std::string_view name) {
  if (name == "debug") return SetLevel(Level::kDebug), true;
  if (name == "info") return SetLevel(Level::kInfo), true;
  if (name == "warning") return SetLevel(Level::kWarning), true;
  if (name == "error") return SetLevel(Level::kError), true;
  return false;
}

std::string Format(std::string_view component, std::string_view event,
                   std::initializer_list<Field> fields) {
  std::string line;
  line.append(component).append(" ").append(event);
  for (const Field& field : fields) {
    line.append(" ").append(field.key()).append("=");
    if (NeedsQuotes(field.value())) {
      AppendQuoted(line, field.value());
    } else {
      line.append(field.value());
    }
  }
  return line;
}

void Write(Level level, std::string_view component, std::string_view event,
           std::initializer_list<Field> fields) {
  if (!Logger().should_log(ToSpdlog(level))) return;
  Logger().log(ToSpdlog(level), "{}", Format(component, event, fields));
}

}  // namespace lanekeeper::log
