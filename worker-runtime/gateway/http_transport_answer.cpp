#include "worker-runtime/gateway/http_transport_answer.h"

#include <algorithm>
#include <array>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/status.hpp>
#include <charconv>
#include <ctime>
#include <nlohmann/json.hpp>

namespace lanekeeper::gateway::transport {
namespace {

constexpr std::string_view kTypePrefix = "https://lanekeeper.dev/problems/";

bool Same(std::string_view a, std::string_view b) {
  return boost::beast::iequals(boost::beast::string_view(a.data(), a.size()),
                               boost::beast::string_view(b.data(), b.size()));
}

bool HasControl(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char letter) {
    const auto code = static_cast<unsigned char>(letter);
    return (code < 0x20 && letter != '\t') || code == 0x7f;
  });
}

// "Thu, 26 Nov 2026 02:08:00 GMT", made once a second.
std::string_view Date() {
  thread_local std::time_t made = 0;
  thread_local std::array<char, 40> text{};
  thread_local std::size_t length = 0;
  const std::time_t now = std::time(nullptr);
  if (now != made) {
    std::tm parts{};
    gmtime_r(&now, &parts);
    length = std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &parts);
    made = now;
  }
  return {text.data(), length};
}

template <typename Number>
void AppendNumber(std::string& to, Number number, int base = 10) {
  std::array<char, 24> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number, base).ptr;
  to.append(digits.data(), end);
}

std::optional<std::uint64_t> LengthOf(const web::http::http_headers& headers) {
  const auto found = headers.find("Content-Length");
  if (found == headers.end()) return std::nullopt;
  std::uint64_t length = 0;
  const char* const end = found->second.data() + found->second.size();
  const auto parsed = std::from_chars(found->second.data(), end, length);
  if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return length;
}

// The next `length` bytes of the body when they are in memory. They are read with that.
bool TakeAtHand(const concurrency::streams::istream& body, std::uint64_t length, std::string& to) {
  auto buffer = body.streambuf();
  std::uint8_t* bytes = nullptr;
  std::size_t count = 0;
  if (!buffer.acquire(bytes, count) || bytes == nullptr) return false;
  const bool whole = count >= length;
  if (whole) to.append(reinterpret_cast<const char*>(bytes), length);
  buffer.release(bytes, whole ? length : 0);
  return whole;
}

}  // namespace

std::string_view ReasonOf(int status) {
  const auto reason = boost::beast::http::obsolete_reason(
      boost::beast::http::int_to_status(static_cast<unsigned>(status)));
  return {reason.data(), reason.size()};
}

bool MayHaveBody(int status) { return status >= 200 && status != 204 && status != 304; }

HeadWriter::HeadWriter(int status, std::string_view reason) {
  constexpr std::size_t kUsualSize = 1024;
  bytes_.reserve(kUsualSize);
  bytes_ = "HTTP/1.1 ";
  AppendNumber(bytes_, status);
  bytes_ += ' ';
  bytes_ += HasControl(reason) || reason.empty() ? ReasonOf(status) : reason;
  bytes_ += "\r\n";
}

void HeadWriter::Add(std::string_view name, std::string_view value) {
  if (HasControl(name) || HasControl(value) || name.empty()) return;
  if (Same(name, "Date")) dated_ = true;
  bytes_.append(name).append(": ").append(value).append("\r\n");
}

void HeadWriter::AddLength(std::uint64_t bytes) {
  bytes_ += "Content-Length: ";
  AppendNumber(bytes_, bytes);
  bytes_ += "\r\n";
}

std::string HeadWriter::Finish(Framing framing, bool http11, bool close) {
  if (!dated_) bytes_.append("Date: ").append(Date()).append("\r\n");
  if (framing == Framing::kChunks) bytes_ += "Transfer-Encoding: chunked\r\n";
  if (close) {
    bytes_ += "Connection: close\r\n";
  } else if (!http11) {
    bytes_ += "Connection: keep-alive\r\n";
  }
  bytes_ += "\r\n";
  return std::move(bytes_);
}

AnswerBytes WriteRefusal(const Refusal& refusal, const AnswerTerms& terms) {
  nlohmann::ordered_json problem;
  problem["type"] = std::string(kTypePrefix) + std::string(refusal.name);
  problem["title"] = refusal.title;
  problem["status"] = refusal.status;
  problem["detail"] = refusal.detail;
  const std::string body =
      problem.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  HeadWriter head(refusal.status, "");
  head.Add("Content-Type", "application/problem+json");
  if (refusal.status == 429) head.Add("Retry-After", "1");
  head.AddLength(body.size());
  const bool close = !terms.keep_alive;
  AnswerBytes answer{head.Finish(Framing::kLength, terms.http11, close), close};
  if (!terms.head) answer.bytes += body;
  return answer;
}

WrittenAnswer WriteAnswer(web::http::http_response& response, const AnswerTerms& terms) {
  WrittenAnswer written;
  const int status = response.status_code();
  HeadWriter head(status, response.reason_phrase());
  bool close = !terms.keep_alive;
  for (const auto& [name, value] : response.headers()) {
    if (Same(name, "Connection")) {
      close = close || Same(value, "close");
    } else if (!Same(name, "Content-Length") && !Same(name, "Transfer-Encoding")) {
      head.Add(name, value);
    }
  }
  std::string at_hand;
  if (MayHaveBody(status)) {
    const auto body = response.body();
    const auto length = body.is_valid() ? LengthOf(response.headers()) : std::uint64_t{0};
    if (length) {
      written.framing = Framing::kLength;
      written.length = *length;
      head.AddLength(*length);
    } else {
      written.framing = terms.http11 ? Framing::kChunks : Framing::kUntilClose;
      close = close || !terms.http11;
    }
    if (!terms.head && written.length + (length ? 0 : 1) > 0) {
      written.body_left = !length || !TakeAtHand(body, *length, at_hand);
    }
  }
  written.answer = {head.Finish(written.framing, terms.http11, close), close};
  written.answer.bytes += at_hand;
  return written;
}

WrittenAnswer WriteStreamHead(int status,
                              const std::vector<std::pair<std::string, std::string>>& headers,
                              const AnswerTerms& terms) {
  HeadWriter head(status, "");
  for (const auto& [name, value] : headers) head.Add(name, value);
  WrittenAnswer written;
  written.framing = terms.http11 ? Framing::kChunks : Framing::kUntilClose;
  const bool close = !terms.keep_alive || !terms.http11;
  written.answer = {head.Finish(written.framing, terms.http11, close), close};
  return written;
}

void AppendChunk(std::string& to, std::string_view bytes) {
  AppendNumber(to, bytes.size(), 16);
  to.append("\r\n").append(bytes).append("\r\n");
}

}  // namespace lanekeeper::gateway::transport
