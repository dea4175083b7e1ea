// Answers as bytes. Any thread.
#pragma once

#include <cpprest/http_msg.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "worker-runtime/gateway/http_transport_parser.h"

namespace lanekeeper::gateway::transport {

// What the request allows its answer to be.
struct AnswerTerms {
  bool head = false;        // HEAD: no body.
  bool http11 = true;       // Chunks are understood.
  bool keep_alive = false;  // What the client wishes.
};

struct AnswerBytes {
  std::string bytes;
  bool close = false;  // The connection is closed after it.
};

// How the body goes after its head.
enum class Framing { kNone, kLength, kChunks, kUntilClose };

// Status line and headers, with the empty line. Names and values with a control character are left
// out: they would end the header early.
class HeadWriter {
 public:
  HeadWriter(int status, std::string_view reason);
  void Add(std::string_view name, std::string_view value);
  void AddLength(std::uint64_t bytes);
  // Adds Date, Transfer-Encoding and Connection, and the empty line.
  std::string Finish(Framing framing, bool http11, bool close);

 private:
  std::string bytes_;
  bool dated_ = false;
};

std::string_view ReasonOf(int status);
bool MayHaveBody(int status);  // Not 1xx, 204, 304.

// A whole answer as application/problem+json. 429 gets Retry-After: 1.
AnswerBytes WriteRefusal(const Refusal& refusal, const AnswerTerms& terms);

// The head of `response` and, when all of its body is at hand, that too; else `body_left` is set.
struct WrittenAnswer {
  AnswerBytes answer;
  bool body_left = false;
  Framing framing = Framing::kNone;
  std::uint64_t length = 0;  // For kLength.
};
WrittenAnswer WriteAnswer(web::http::http_response& response, const AnswerTerms& terms);

// The head of a stream.
WrittenAnswer WriteStreamHead(int status,
                              const std::vector<std::pair<std::string, std::string>>& headers,
                              const AnswerTerms& terms);

void AppendChunk(std::string& to, std::string_view bytes);
inline constexpr std::string_view kLastChunk = "0\r\n\r\n";
inline constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";

}  // namespace lanekeeper::gateway::transport
