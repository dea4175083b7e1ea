// One request as it comes in: Beast's parser, filling cpprestsdk's headers and the body directly.
// One thread.
#pragma once

#include <cpprest/http_headers.h>

#include <boost/beast/http/basic_parser.hpp>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "worker-runtime/gateway/http_transport.h"

namespace lanekeeper::gateway::transport {

// What a request is answered that the transport does not hand on. The names are those of
// problem.h where it has one.
struct Refusal {
  int status = 400;
  std::string_view name;  // The last part of the problem's `type`.
  std::string_view title;
  std::string detail;
};

struct RequestHead {
  std::string method;
  std::string target;
  web::http::http_headers headers;  // Fields of one name are joined by ", ".
  bool http11 = true;
  bool keep_alive = true;
  bool expects_continue = false;
};

class RequestParser final : private boost::beast::http::basic_parser<true> {
 public:
  explicit RequestParser(const TransportLimits& limits);

  // Takes what it can of `bytes`, which begin with what was not taken before; the rest is to be
  // kept and given again with more. Not after refusal() or Done().
  std::size_t Put(std::string_view bytes);

  const std::optional<Refusal>& refusal() const { return refusal_; }
  bool HeaderDone() const { return header_done_; }
  bool Done() const { return done_; }

  // From HeaderDone and Done on.
  RequestHead& head() { return head_; }
  std::string& body() { return body_; }
  std::size_t body_bytes() const { return body_.size(); }

 private:
  using Verb = boost::beast::http::verb;
  using Field = boost::beast::http::field;
  using Text = boost::beast::string_view;
  using Code = boost::beast::error_code;

  void on_request_impl(Verb verb, Text method, Text target, int version, Code& error) override;
  void on_response_impl(int, Text, int, Code&) override {}
  void on_field_impl(Field field, Text name, Text value, Code& error) override;
  void on_header_impl(Code& error) override;
  void on_body_init_impl(const boost::optional<std::uint64_t>& length, Code& error) override;
  std::size_t on_body_impl(Text body, Code& error) override;
  void on_chunk_header_impl(std::uint64_t, Text, Code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, Text body, Code& error) override;
  void on_finish_impl(Code& error) override;

  void AddHeaderBytes(std::size_t bytes, Code& error);
  void Fail(const Code& error);
  void Refuse(Refusal refusal, Code& error);

  const TransportLimits& limits_;
  RequestHead head_;
  std::string body_;
  std::optional<Refusal> refusal_;
  std::size_t header_bytes_ = 0;
  int hosts_ = 0;
  bool transfer_encoding_ = false;
  bool header_done_ = false;
  bool done_ = false;
};

Refusal HeaderTooLarge(const TransportLimits& limits);
Refusal BodyTooLarge(const TransportLimits& limits);
Refusal TooSlow(std::string_view part);
Refusal Malformed(std::string detail);

}  // namespace lanekeeper::gateway::transport
