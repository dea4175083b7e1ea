// Which gateway a command talks to, of those it might. The places where one may be are ports.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "cli/remote/remote.h"
#include "worker-runtime/base/result.h"
#include "worker-runtime/client/http_call.h"

namespace lanekeeper::cli {

struct Target {
  std::string where;  // For messages.
  std::shared_ptr<client::HttpCaller> http;
};

// kNotFound: there is none at this place; everything else is said to the person.
struct Places {
  std::function<std::optional<std::string>(const std::string& name)> environment;
  std::function<Result<Target>(const std::string& url)> url;
  // `named`: a flag says that it is the cluster, so that it is worth more than a glance.
  std::function<Result<Target>(bool named)> cluster;
  std::function<Result<Target>()> local;
};

// The one that is named: kInvalid when two are. Else the cluster's, else the local one; kRetryable
// says why it is neither.
Result<Target> FindTarget(const TargetFlags& flags, const Places& places);

// The places there are for these flags.
Places PlacesOf(const TargetFlags& flags);

}  // namespace lanekeeper::cli
