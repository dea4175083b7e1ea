// The API server over HTTP: the only place of this room that speaks it, on cpprestsdk.
//
// TLS with the authorities and the client certificate of a KubeConfig, its token in a header. No
// exception leaves, every call has a deadline, and every answer a limit on its size. The caller's
// main sizes cpprestsdk's thread pool; a watch keeps none of its threads busy while it is quiet.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "operator/kubernetes/api.h"
#include "operator/kubernetes/kubeconfig.h"

namespace lanekeeper::kubernetes {

class ApiClient final : public Api {
 public:
  struct Options {
    std::size_t answer_bytes_max = 64 << 20;  // Of a whole answer: a page of a list, an object.
    std::size_t line_bytes_max = 8 << 20;     // Of one line of a watch; etcd holds 1.5 MiB.
  };

  // kInvalid when the certificates of `config` cannot be used. Makes no request.
  static Result<std::unique_ptr<ApiClient>> Create(KubeConfig config, Options options);
  static Result<std::unique_ptr<ApiClient>> Create(KubeConfig config) {
    return Create(std::move(config), Options());
  }
  ~ApiClient() override;

  // Besides what Api says: a 401 leads to one more try when there is a newer token or certificate,
  // and after a 429 with Retry-After, calls until then are answered 429 without asking. With a user
  // that logs in with a program, any call may run it first, beyond its own deadline; what goes
  // wrong there is the call's error, see RunExecLogin.
  Result<Answer> Exchange(const Request& request, const CallOptions& options) override;
  Result<Answer> Stream(const Request& request, std::chrono::milliseconds silence_max,
                        const OnLine& on_line, std::stop_token stop) override;

  // To what is behind the API server: a Service, through its proxy. The answer is that one's, so a
  // 429 is no pause of the API server, and a 401 no reason for another token; `request.headers`
  // name what they accept.
  Result<Answer> Forward(const Request& request, const CallOptions& options);
  // The bytes of an answer of status 200 as they come, until `take` returns false or the answer is
  // over: the Answer then has no body. Another answer is returned whole. An error of kRetryable
  // when nothing comes for `silence_max`, and at the end of options.deadline.
  using Take = std::function<bool(std::string_view bytes)>;
  Result<Answer> ForwardStream(const Request& request, const CallOptions& options,
                               std::chrono::milliseconds silence_max, const Take& take);

  // The token that calls show now; empty when they show none. Errors as of a call.
  Result<std::string> Token();

  // Requests sent so far, and those of them that may have changed something: an idle operator's
  // must stand still.
  std::uint64_t requests() const { return requests_; }
  std::uint64_t writes() const { return writes_; }

 private:
  class Connection;
  explicit ApiClient(std::unique_ptr<Connection> connection);
  // `once`, and once more after a 401 with what there is by then.
  template <typename Once>
  Result<Answer> WithLogin(const std::stop_token& stop, Once once);

  std::unique_ptr<Connection> connection_;
  std::atomic<std::uint64_t> requests_{0};
  std::atomic<std::uint64_t> writes_{0};
  std::atomic<std::int64_t> quiet_until_ns_{0};  // On the monotonic clock.
};

}  // namespace lanekeeper::kubernetes
