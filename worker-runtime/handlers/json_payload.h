// Handlers whose payload is a JSON document of a known shape.
//
//   struct Resize { std::string url; int width = 0; };
//   NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Resize, url, width)
//
//   worker.Handle("resize", JsonHandler<Resize>([](Job& job, Resize resize) -> Outcome { … }));
//
// Link lanekeeper::json_payload: it makes the errors name the field.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "worker-runtime/base/result.h"
#include "worker-runtime/job/handler_registry.h"

namespace lanekeeper {

inline constexpr const char* kPayloadErrorClass = "payload";

// The payload as a T, by T's from_json. kInvalid: "decoding the payload: (/width) type must be
// number, but is string".
template <typename T>
Result<T> PayloadAs(const Job& job) {
  try {
    return nlohmann::json::parse(job.payload()).template get<T>();
  } catch (const nlohmann::json::exception& error) {
    std::string_view what = error.what();
    // In front stands "[json.exception.type_error.302] ".
    if (const std::size_t end = what.find("] "); end != std::string_view::npos) {
      what.remove_prefix(end + 2);
    }
    return Fail(ErrorKind::kInvalid, "decoding the payload: " + std::string(what));
  }
}

// Calls `handle(job, T)`. A payload that is no T is rejected: it will not get better.
template <typename T, typename Handle>
Handler JsonHandler(Handle handle) {
  return [handle = std::move(handle)](Job& job) -> Outcome {
    Result<T> payload = PayloadAs<T>(job);
    if (!payload) return Rejected{std::move(payload).error().message, kPayloadErrorClass};
    return handle(job, *std::move(payload));
  };
}

}  // namespace lanekeeper
