// What everybody needs who asks over cpprestsdk: an answer as a whole, bounded. Included by .cpp
// files only.
#pragma once

#include <cpprest/http_client.h>

#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace lanekeeper::client {

struct WholeResponse {
  web::http::http_response head;
  std::vector<unsigned char> body;

  std::string Text() const { return {body.begin(), body.end()}; }
};

inline pplx::task<WholeResponse> ReadBody(const web::http::http_response& response) {
  return response.extract_vector().then([response](std::vector<unsigned char> body) {
    return WholeResponse{response, std::move(body)};
  });
}

// In seconds; nothing when there is none, or a date.
inline std::optional<std::chrono::seconds> RetryAfterOf(const web::http::http_response& response) {
  const auto header = response.headers().find("Retry-After");
  if (header == response.headers().end()) return std::nullopt;
  const std::string& text = header->second;
  int count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc{} || end != text.data() + text.size() || count < 0) return std::nullopt;
  return std::chrono::seconds(count);
}

// An answer of more bytes ends the task with a std::length_error.
inline void LimitAnswer(web::http::http_request& request, std::size_t bytes_max) {
  request.set_progress_handler([bytes_max](web::http::message_direction::direction direction,
                                           std::uint64_t bytes) {
    if (direction == web::http::message_direction::upload || bytes <= bytes_max) return;
    throw std::length_error("the answer is larger than " + std::to_string(bytes_max) + " bytes");
  });
}

}  // namespace lanekeeper::client
