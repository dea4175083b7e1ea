#include "worker-runtime/gateway/http_transport_parser.h"

#include <algorithm>
#include <boost/beast/http/error.hpp>
#include <utility>

namespace lanekeeper::gateway::transport {
namespace {

namespace http = boost::beast::http;

// A body is given room at once up to this; a longer one has to arrive first.
constexpr std::size_t kReserveMax = 256 * 1024;
// " ", " HTTP/1.1\r\n"; ": ", "\r\n".
constexpr std::size_t kRequestLineExtra = 12;
constexpr std::size_t kFieldExtra = 4;

std::string Copy(boost::beast::string_view text) { return {text.data(), text.size()}; }

bool IsChunkedOnly(const std::string& value) { return boost::beast::iequals(value, "chunked"); }

}  // namespace

Refusal HeaderTooLarge(const TransportLimits& limits) {
  return {431, "headers-too-large", "The request's header is too large",
          "request line and headers may have " + std::to_string(limits.header_bytes_max) +
              " bytes together; send fewer or shorter ones"};
}

Refusal BodyTooLarge(const TransportLimits& limits) {
  return {413, "payload-too-large", "The request's body is too large",
          "a body may have " + std::to_string(limits.body_bytes_max) +
              " bytes; send less, or store it elsewhere and send its address"};
}

Refusal TooSlow(std::string_view part) {
  return {408, "request-timeout", "The request took too long to arrive",
          "the " + std::string(part) + " of the request did not arrive in time; send it again"};
}

Refusal Malformed(std::string detail) {
  return {400, "invalid-request", "The request is not valid", std::move(detail)};
}

RequestParser::RequestParser(const TransportLimits& limits) : limits_(limits) {
  header_limit(static_cast<std::uint32_t>(limits.header_bytes_max));
  body_limit(limits.body_bytes_max);
  eager(true);
}

std::size_t RequestParser::Put(std::string_view bytes) {
  Code error;
  const std::size_t taken = put(boost::asio::const_buffer(bytes.data(), bytes.size()), error);
  if (refusal_) return taken;
  if (error && error != http::error::need_more) {
    Fail(error);
  } else if (!done_ && bytes.size() - taken >= limits_.header_bytes_max) {
    // Something that must be whole to be read (header, chunk size, trailer) and does not end.
    refusal_ =
        header_done_ ? Malformed("a chunk's size or trailer is too long") : HeaderTooLarge(limits_);
  }
  return taken;
}

void RequestParser::Fail(const Code& error) {
  if (error == http::error::header_limit) {
    refusal_ = HeaderTooLarge(limits_);
  } else if (error == http::error::body_limit) {
    refusal_ = BodyTooLarge(limits_);
  } else {
    refusal_ = Malformed("not HTTP/1.1: " + error.message());
  }
}

void RequestParser::Refuse(Refusal refusal, Code& error) {
  refusal_ = std::move(refusal);
  error = http::error::bad_value;
}

void RequestParser::AddHeaderBytes(std::size_t bytes, Code& error) {
  header_bytes_ += bytes;
  // Beast's own limit is for the request line and for the headers, each by itself.
  if (header_bytes_ > limits_.header_bytes_max) Refuse(HeaderTooLarge(limits_), error);
}

void RequestParser::on_request_impl(Verb, Text method, Text target, int version, Code& error) {
  head_.method = Copy(method);
  head_.target = Copy(target);
  head_.http11 = version >= 11;
  AddHeaderBytes(method.size() + target.size() + kRequestLineExtra, error);
}

void RequestParser::on_field_impl(Field field, Text name, Text value, Code& error) {
  // A trailer is read and forgotten: what it says comes too late to be checked.
  AddHeaderBytes(name.size() + value.size() + kFieldExtra, error);
  if (error || header_done_) return;
  if (field == Field::host) ++hosts_;
  if (field == Field::transfer_encoding) transfer_encoding_ = true;
  if (field == Field::expect) head_.expects_continue = boost::beast::iequals(value, "100-continue");
  std::string& slot = head_.headers[Copy(name)];
  // Equal lengths, which the parser has checked.
  if (field == Field::content_length && !slot.empty()) return;
  if (!slot.empty()) slot += ", ";
  slot.append(value.data(), value.size());
}

void RequestParser::on_header_impl(Code& error) {
  header_done_ = true;
  head_.keep_alive = keep_alive();
  if (hosts_ > 1 || (hosts_ == 0 && head_.http11)) {
    return Refuse(Malformed("a request has exactly one Host header"), error);
  }
  // Another framing than the one that is read here would be read as the next request.
  if (transfer_encoding_ &&
      (!head_.http11 || !chunked() || !IsChunkedOnly(head_.headers["Transfer-Encoding"]))) {
    return Refuse(Malformed("Transfer-Encoding may be chunked only, in HTTP/1.1"), error);
  }
}

void RequestParser::on_body_init_impl(const boost::optional<std::uint64_t>& length, Code&) {
  if (length) body_.reserve(std::min<std::size_t>(*length, kReserveMax));
}

std::size_t RequestParser::on_body_impl(Text body, Code&) {
  body_.append(body.data(), body.size());
  return body.size();
}

std::size_t RequestParser::on_chunk_body_impl(std::uint64_t, Text body, Code&) {
  body_.append(body.data(), body.size());
  return body.size();
}

void RequestParser::on_finish_impl(Code&) { done_ = true; }

}  // namespace lanekeeper::gateway::transport
