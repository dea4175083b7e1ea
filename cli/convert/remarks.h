// What a conversion has to say: what is wrong, what has no equivalent, what was taken as given. In
// the order of the input. Pure.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace lanekeeper::convert {

// Comments and messages are lines: a name of a field may be anything.
inline std::string OneLine(std::string text) {
  for (char& c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) c = '?';
  }
  return text;
}

struct Remarks {
  std::vector<std::string> wrong;  // "ScaledObject studio/a: spec.triggers: …"; nothing is written.
  std::vector<std::string> notes;  // "not carried over: <object> <field>: …", "assumed: …"
};

// Remarks about one object: "ScaledObject studio/render".
class RemarksOn {
 public:
  RemarksOn(std::string object, Remarks& remarks)
      : object_(std::move(object)), remarks_(&remarks) {}

  const std::string& object() const { return object_; }
  void Wrong(const std::string& field, const std::string& why) {
    remarks_->wrong.push_back(OneLine(object_ + ": " + field + ": " + why));
  }
  void NotCarriedOver(const std::string& field, const std::string& why) {
    remarks_->notes.push_back(OneLine("not carried over: " + object_ + " " + field + ": " + why));
  }
  void Assumed(const std::string& field, const std::string& why) {
    remarks_->notes.push_back(OneLine("assumed: " + field + ": " + why));
  }

 private:
  std::string object_;
  Remarks* remarks_;
};

}  // namespace lanekeeper::convert
