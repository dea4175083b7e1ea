#include "worker-runtime/gateway/http_transport.h"

#include <cpprest/details/http_server.h>
#include <cpprest/details/http_server_api.h>
#include <cpprest/http_listener.h>

#include <exception>
#include <stdexcept>
#include <utility>

#include "worker-runtime/base/log.h"
#include "worker-runtime/gateway/http_transport_loop.h"
#include "worker-runtime/gateway/http_transport_stream.h"

namespace lanekeeper::gateway {
namespace transport {
namespace {

using web::http::experimental::details::http_server_api;

// Of the process, from InstallTransport on. Never destroyed: answers may come from any thread until
// the process has ended.
Loop* installed_loop = nullptr;

// cpprestsdk throws its server away with the last listener, and the next one would be served by
// cpprestsdk's own. So one listener is registered for ever, at an address that nothing listens on.
Listener& Keeper() {
  static auto& keeper = *new Listener(web::uri("http://keeper.invalid:1/"));
  return keeper;
}

class Server final : public web::http::experimental::details::http_server {
 public:
  explicit Server(Loop& loop) : loop_(loop) {}
  ~Server() override { loop_.Stop(); }

  pplx::task<void> start() override { return pplx::task_from_result(); }
  pplx::task<void> stop() override { return pplx::task_from_result(); }
  pplx::task<void> register_listener(Listener* listener) override {
    if (listener == &Keeper()) return pplx::task_from_result();
    if (const auto opened = loop_.Open(*listener); !opened) {
      return pplx::task_from_exception<void>(
          std::make_exception_ptr(std::runtime_error(opened.error().message)));
    }
    return pplx::task_from_result();
  }
  pplx::task<void> unregister_listener(Listener* listener) override {
    loop_.Close(*listener);
    return pplx::task_from_result();
  }
  pplx::task<void> respond(web::http::http_response response) override {
    const auto* const context = dynamic_cast<RequestContext*>(response._get_server_context());
    const ExchangePtr exchange = context->exchange;
    return exchange->Respond(std::move(response));
  }

 private:
  Loop& loop_;
};

}  // namespace

void HandOver(const ExchangePtr& exchange, const Endpoint& endpoint,
              const std::string& remote_address, RequestHead head, std::string body) {
  exchange->loop.CountRequest();
  if (head.method == "TRACE" || head.method == "CONNECT") {
    return exchange->Refuse({405, "method-not-allowed", "The method is not allowed",
                             "TRACE and CONNECT are not served here"});
  }
  const std::size_t body_bytes = body.size();
  concurrency::streams::container_buffer<std::string> stream(std::move(body), std::ios_base::in);
  auto request =
      web::http::http_request::_create_request(std::make_unique<RequestContext>(exchange, stream));
  try {
    request.set_request_uri(web::uri(head.target));
  } catch (const web::uri_exception&) {
    exchange->loop.Count(400);
    return exchange->Refuse(Malformed("the request's target is not a URI"));
  }
  const auto route = endpoint.Find(web::uri::decode(request.request_uri().path()));
  if (!route) {
    return exchange->Refuse(
        {404, "no-such-path", "There is no such path", "nothing is served below this path"});
  }
  exchange->route = route;
  ++route->exchanges;
  request.set_method(head.method);
  request.headers() = std::move(head.headers);
  const auto& implementation = request._get_impl();
  implementation->_set_http_version({1, static_cast<std::uint8_t>(head.http11 ? 1 : 0)});
  implementation->_set_remote_address(remote_address);
  implementation->set_instream(concurrency::streams::istream(stream));
  request._set_listener_path(route->listener->uri().path());
  implementation->_get_data_available().set(body_bytes);
  try {
    route->listener->handle_request(request);
  } catch (const std::exception& error) {
    log::Warning("transport", "handler_failed", {{"error", error.what()}});
    request._reply_if_not_already(web::http::status_codes::InternalError);
  }
}

}  // namespace transport

Result<void> InstallTransport(TransportOptions options) {
  using namespace transport;
  if (installed_loop != nullptr) return Fail(ErrorKind::kInvalid, "the transport is there already");
  std::unique_ptr<TlsContext> tls;
  if (options.tls.enabled()) {
    auto loaded = TlsContext::Load(options.tls);
    if (!loaded) return tl::unexpected(std::move(loaded).error());
    tls = *std::move(loaded);
  }
  auto* const loop = new Loop(std::move(options), std::move(tls));
  try {
    http_server_api::register_server_api(std::make_unique<Server>(*loop));
    http_server_api::register_listener(&Keeper()).wait();
  } catch (const std::exception& error) {
    return Fail(ErrorKind::kInvalid, std::string("installing the transport: ") + error.what());
  }
  installed_loop = loop;
  return {};
}

TransportCounts CountTransport() {
  return transport::installed_loop == nullptr ? TransportCounts{}
                                              : transport::installed_loop->Counts();
}

std::string TakeBody(const web::http::http_request& request) {
  auto* const context = transport::ContextOf(request);
  return context == nullptr ? std::string() : std::move(context->body_of_request.collection());
}

void OnClientGone(const web::http::http_request& request, std::function<void()> gone) {
  const auto* const context = transport::ContextOf(request);
  if (context != nullptr) context->exchange->OnGone(std::move(gone));
}

std::shared_ptr<HttpStream> StartStream(
    const web::http::http_request& request, int status,
    const std::vector<std::pair<std::string, std::string>>& headers, std::function<void()> gone) {
  using namespace transport;
  const auto* const context = ContextOf(request);
  if (context == nullptr) return nullptr;
  const ExchangePtr exchange = context->exchange;
  if (!exchange->Claim()) return nullptr;
  WrittenAnswer head = WriteStreamHead(status, headers, exchange->terms);
  if (exchange->terms.head || !MayHaveBody(status)) {
    exchange->loop.Run([exchange, head]() mutable {
      const auto connection = exchange->connection;
      if (connection) connection->Answer(std::move(head.answer), false);
    });
    return nullptr;
  }
  if (exchange->loop.InThread() && !exchange->connection) return nullptr;
  const auto state = std::make_shared<StreamState>(exchange, head.framing == Framing::kChunks,
                                                   exchange->loop.limits().stream_bytes_max);
  exchange->OnGone(std::move(gone));
  exchange->loop.Run([exchange, state, head]() mutable {
    const auto connection = exchange->connection;
    if (!connection) return state->Close();
    exchange->stream = state;
    connection->AnswerStream(std::move(head.answer));
  });
  return std::make_shared<StreamWriter>(state);
}

}  // namespace lanekeeper::gateway
