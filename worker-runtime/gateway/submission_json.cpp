// ParseSubmission: the JSON form of a submission.
#include <array>
#include <charconv>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "worker-runtime/base/text.h"
#include "worker-runtime/gateway/submission.h"
#include "worker-runtime/gateway/submission_fields.h"

namespace lanekeeper::gateway {
namespace {

using nlohmann::json;

constexpr std::size_t kDepthMax = 128;  // Of arrays and objects inside each other.

constexpr std::array<std::string_view, 8> kFields{"type",    "payload",        "payload_base64",
                                                  "lane",    "deadline",       "timeout",
                                                  "headers", "idempotency_key"};

// Writes JSON events as compact text. Strings are written anew, numbers as they were.
class CompactWriter {
 public:
  std::string Take() { return std::move(text_); }

  void Key(std::string_view name) {
    Separate();
    Quote(name);
    text_ += ':';
    after_key_ = true;
  }
  void Raw(std::string_view word) {
    Separate();
    text_ += word;
    value_before_ = true;
  }
  void String(std::string_view value) {
    Separate();
    Quote(value);
    value_before_ = true;
  }
  void Open(char bracket) {
    Separate();
    text_ += bracket;
    value_before_ = false;
  }
  void Close(char bracket) {
    text_ += bracket;
    value_before_ = true;
  }

 private:
  void Separate() {
    if (!std::exchange(after_key_, false) && value_before_) text_ += ',';
    value_before_ = false;
  }

  void Quote(std::string_view value) {
    constexpr std::string_view kHex = "0123456789abcdef";
    text_ += '"';
    for (const char c : value) {
      const auto byte = static_cast<unsigned char>(c);
      if (c == '"' || c == '\\') {
        text_ += '\\';
        text_ += c;
      } else if (c == '\n') {
        text_ += "\\n";
      } else if (byte < 0x20) {
        text_ += "\\u00";
        text_ += kHex[byte >> 4];
        text_ += kHex[byte & 15];
      } else {
        text_ += c;
      }
    }
    text_ += '"';
  }

  std::string text_;
  bool after_key_ = false;
  bool value_before_ = false;
};

// Reads the events of the parser. Returns false from one to end the reading, with `problem` set.
class SubmissionReader final : public nlohmann::json_sax<json> {
 public:
  Answer<Submission> Take() {
    if (problem_) return tl::unexpected(*std::move(problem_));
    if (has_payload_ && has_base64_) {
      return Invalid("payload and payload_base64 are both given; leave one of them out");
    }
    if (has_payload_) submission_.payload = payload_.Take();
    return std::move(submission_);
  }

  bool null() override { return Scalar("null"); }
  bool boolean(bool value) override { return Scalar(value ? "true" : "false"); }
  bool number_integer(number_integer_t value) override {
    // The parser calls this for numbers with a sign only: its 0 was "-0".
    return Scalar(value == 0 ? "-0" : std::to_string(value));
  }
  bool number_unsigned(number_unsigned_t value) override { return Scalar(std::to_string(value)); }
  bool number_float(number_float_t /*value*/, const string_t& text) override {
    return Scalar(text);
  }
  bool binary(binary_t& /*value*/) override { return false; }  // Not in JSON text.

  bool string(string_t& value) override {
    if (InPayload()) {
      payload_.String(value);
      return true;
    }
    if (depth_ == 0) return NoObject();
    if (depth_ == 2) return AddHeader(std::move(value));
    return SetField(std::move(value));
  }

  bool start_object(std::size_t /*size*/) override {
    if (++depth_ > kDepthMax) return TooDeep();
    if (depth_ == 1) return true;
    if (field_ == "payload") {
      payload_.Open('{');
      return true;
    }
    if (field_ == "headers" && depth_ == 2) return true;
    return WrongType();
  }
  bool end_object() override {
    if (InPayload() && depth_ > 1) payload_.Close('}');
    --depth_;
    return true;
  }
  bool start_array(std::size_t /*size*/) override {
    if (depth_ == 0) return NoObject();
    if (field_ != "payload") return WrongType();
    if (++depth_ > kDepthMax) return TooDeep();
    payload_.Open('[');
    return true;
  }
  bool end_array() override {
    payload_.Close(']');
    --depth_;
    return true;
  }

  bool key(string_t& name) override {
    if (depth_ == 1) return BeginField(std::move(name));
    if (field_ == "payload") {
      payload_.Key(name);
    } else {
      header_ = std::move(name);
    }
    return true;
  }

  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const json::exception& error) override {
    constexpr int kNumberOverflow = 406;
    if (error.id == kNumberOverflow) {
      return Stop(Invalid("the number that ends at byte " + std::to_string(position) +
                          " is too large for a double; send it as a string"));
    }
    return Stop(Invalid("the body is not valid JSON at byte " + std::to_string(position)));
  }

 private:
  bool InPayload() const { return depth_ >= 1 && field_ == "payload"; }

  bool Stop(tl::unexpected<Problem> problem) {
    if (!problem_) problem_ = std::move(problem.value());
    return false;
  }
  bool NoObject() {
    return Stop(
        Invalid("the body is not a JSON object like {\"type\": \"thumbnail\", \"payload\": "
                "{}}"));
  }
  bool TooDeep() {
    return Stop(Invalid("the body has more than " + std::to_string(kDepthMax) +
                        " arrays and objects inside each other; send the payload as "
                        "payload_base64"));
  }
  bool WrongType() {
    if (field_ == "headers" && depth_ >= 2) {
      return Stop(Invalid("headers: the value of \"" + Shown(header_) + "\" is not a string"));
    }
    return Stop(Invalid("field \"" + field_ + "\" is not " +
                        (field_ == "headers" ? "an object of strings" : "a string")));
  }

  bool Scalar(std::string_view word) {
    if (depth_ == 0) return NoObject();
    if (!InPayload()) return WrongType();
    payload_.Raw(word);
    return true;
  }

  bool BeginField(std::string name) {
    for (std::size_t n = 0; n < kFields.size(); ++n) {
      if (kFields[n] != name) continue;
      if ((seen_ & 1U << n) != 0) {
        return Stop(Invalid("field \"" + name + "\" is given twice"));
      }
      seen_ |= 1U << n;
      has_payload_ = has_payload_ || name == "payload";
      field_ = std::move(name);
      return true;
    }
    return Stop(Invalid("field \"" + Shown(name) +
                        "\" does not exist; there are type, payload, payload_base64, lane, "
                        "deadline, timeout, headers and idempotency_key"));
  }

  bool SetField(std::string value) {
    if (field_ == "payload_base64") {
      has_base64_ = true;
      auto bytes = DecodeBase64Strictly(value);
      if (!bytes) return Stop(Invalid("payload_base64 is not base64"));
      submission_.payload = *std::move(bytes);
      return true;
    }
    if (field_ == "headers") return WrongType();
    auto set = SetSubmissionField(submission_, field_, std::move(value));
    return set ? true : Stop(tl::unexpected(std::move(set).error()));
  }

  bool AddHeader(std::string value) {
    auto added = AddUserHeader(submission_.headers, std::move(header_), std::move(value));
    header_.clear();
    return added ? true : Stop(tl::unexpected(std::move(added).error()));
  }

  Submission submission_;
  CompactWriter payload_;
  std::optional<Problem> problem_;
  std::string field_;
  std::string header_;
  std::size_t depth_ = 0;
  unsigned seen_ = 0;
  bool has_payload_ = false;
  bool has_base64_ = false;
};

}  // namespace

Answer<Submission> ParseSubmission(std::string_view text) {
  SubmissionReader reader;
  static_cast<void>(json::sax_parse(text.begin(), text.end(), &reader));
  return reader.Take();
}

}  // namespace lanekeeper::gateway
