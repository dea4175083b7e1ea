// Reading a manifest that a person wrote: every field is checked where it is read, and every
// problem is kept with the path of its field, so that all of them can be fixed in one go. Never
// throws. Included by .cpp files only.
#pragma once

#include <chrono>
#include <cstdint>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "worker-runtime/base/result.h"

namespace lanekeeper::kubernetes {

// Collects "<path>: <clause>"; the same problem of one field once.
class Problems {
 public:
  void Add(const std::string& path, std::string_view clause);
  bool empty() const { return problems_.empty(); }
  // kInvalid, with the first kNamedMax of them.
  tl::unexpected<Error> AsError() const;

 private:
  static constexpr std::size_t kNamedMax = 8;
  std::vector<std::string> problems_;
};

// The object at a path, or none. A field that is missing or null is the fallback; one of the wrong
// type or out of bounds is a problem, and the fallback.
class Fields {
 public:
  // All must outlive this. `value` may be null, and anything but an object is a problem.
  Fields(const nlohmann::json* value, std::string path, Problems& problems);

  // nullptr: there is no such object.
  const nlohmann::json* value() const { return value_; }
  bool Has(const std::string& name) const { return Find(name) != nullptr; }
  std::vector<std::string> Names() const;

  Fields Object(const std::string& name) const;
  // The objects of a list.
  std::vector<Fields> List(const std::string& name) const;
  std::string Text(const std::string& name, const std::string& fallback) const;
  bool Flag(const std::string& name, bool fallback) const;
  std::int64_t Integer(const std::string& name, std::int64_t fallback, std::int64_t min,
                       std::int64_t max) const;
  std::chrono::milliseconds Duration(const std::string& name, std::chrono::milliseconds fallback,
                                     std::chrono::milliseconds min,
                                     std::chrono::milliseconds max) const;
  // Which of `choices`; the first is the fallback.
  std::size_t Choice(const std::string& name, std::initializer_list<const char*> choices) const;

  void Refuse(const std::string& name, std::string_view clause) const;

 private:
  const nlohmann::json* Find(const std::string& name) const;
  std::string PathOf(const std::string& name) const;

  const nlohmann::json* value_;
  std::string path_;
  Problems* problems_;
};

}  // namespace lanekeeper::kubernetes
