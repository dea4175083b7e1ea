// The API server for who leads: writes of anybody else are refused here, without asking it, and
// each has ended before somebody else can lead. Reads and watches go through.
#pragma once

#include <utility>

#include "operator/control/leadership.h"
#include "operator/kubernetes/api.h"
#include "worker-runtime/base/clock.h"

namespace lanekeeper::kubernetes {

class LeaderApi final : public Api {
 public:
  // All outlive this. Without a Leadership everything goes through: there is one operator.
  LeaderApi(Api& api, const Clock& clock, const Leadership* leadership)
      : api_(api), clock_(clock), leadership_(leadership) {}

  // A refused write is kRetryable.
  Result<Answer> Exchange(const Request& request, const CallOptions& options) override;
  Result<Answer> Stream(const Request& request, std::chrono::milliseconds silence_max,
                        const OnLine& on_line, std::stop_token stop) override {
    return api_.Stream(request, silence_max, on_line, std::move(stop));
  }

 private:
  Api& api_;
  const Clock& clock_;
  const Leadership* leadership_;
};

}  // namespace lanekeeper::kubernetes
