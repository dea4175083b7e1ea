// What tests of the gateway share: submissions that are waited for.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "worker-runtime/gateway/gateway.h"

namespace lanekeeper::gateway {

// The answer, when it comes.
using Coming = std::future<Answer<Accepted>>;

inline Coming Begin(Gateway& gateway, Submission submission, const Caller& caller = "web") {
  auto promise = std::make_shared<std::promise<Answer<Accepted>>>();
  Coming coming = promise->get_future();
  gateway.Submit(caller, "studio", "media", std::move(submission),
                 [promise](Answer<Accepted> answer) { promise->set_value(std::move(answer)); });
  return coming;
}

inline bool Came(const Coming& coming) {
  return coming.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
}

inline Answer<Accepted> Wait(Coming coming) {
  if (coming.wait_for(std::chrono::seconds(60)) != std::future_status::ready) {
    ADD_FAILURE() << "no answer";
    return Refuse(ProblemType::kQueueUnavailable, "no answer");
  }
  return coming.get();
}

inline Answer<Accepted> SubmitAndWait(Gateway& gateway, Submission submission,
                                      const Caller& caller = "web") {
  return Wait(Begin(gateway, std::move(submission), caller));
}

}  // namespace lanekeeper::gateway
