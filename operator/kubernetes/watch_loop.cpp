#include "operator/kubernetes/watch_loop.h"

#include <random>
#include <string>
#include <utility>

#include "operator/kubernetes/log_pace.h"
#include "worker-runtime/base/clock.h"
#include "worker-runtime/base/log.h"
#include "worker-runtime/base/stoppable_sleep.h"

namespace lanekeeper::kubernetes {
namespace {

constexpr std::chrono::seconds kListDeadline{30};

}  // namespace

WatchLoop::WatchLoop(Api& api, WatchTarget target, WatchCallbacks callbacks)
    : api_(api), target_(target), state_(std::move(target), std::move(callbacks)) {}

void WatchLoop::Start() {
  if (thread_.joinable()) return;
  thread_ = std::jthread([this](std::stop_token stop) { Run(std::move(stop)); });
}

void WatchLoop::Stop() {
  if (!thread_.joinable()) return;
  thread_.request_stop();
  thread_.join();
}

void WatchLoop::Relist() {
  const std::lock_guard lock(mutex_);
  relist_ = true;
  synced_ = false;
  turn_.request_stop();
}

std::stop_source WatchLoop::BeginTurn() {
  const std::lock_guard lock(mutex_);
  if (std::exchange(relist_, false)) state_.Relist();
  turn_ = std::stop_source();
  return turn_;
}

void WatchLoop::EndTurn() {
  const std::lock_guard lock(mutex_);
  // What was heard before a Relist is not what it asks for.
  if (!relist_) synced_ = state_.synced();
}

void WatchLoop::Run(std::stop_token stop) {
  std::mt19937_64 random(std::random_device{}());
  int failures = 0;
  while (!stop.stop_requested()) {
    std::stop_source turn = BeginTurn();
    const std::stop_callback ends_turn(stop, [&turn] { turn.request_stop(); });
    const WatchState::Step step = state_.NextStep();
    SleepUnlessStopped(Jittered(step.delay, random()), turn.get_token());
    if (turn.stop_requested()) continue;
    step.is_watch ? Stream(step.request, turn.get_token()) : List(step.request, turn.get_token());
    if (stop.stop_requested()) return;

    EndTurn();
    const std::string resource(target_.resource.plural);
    if (state_.failures() == 0 && failures > 0) {
      log::Info("kubernetes", "watch recovered", {{"resource", resource}, {"failures", failures}});
    } else if (state_.failures() > failures && IsWorthALine(state_.failures())) {
      log::Warning("kubernetes", "watch failed",
                   {{"resource", resource},
                    {"failures", state_.failures()},
                    {"kind", ToString(state_.last_error().kind)},
                    {"error", state_.last_error().message}});
    }
    failures = state_.failures();
  }
}

void WatchLoop::List(const Request& request, std::stop_token stop) {
  const Result<Answer> answer = api_.Exchange(request, {.deadline = kListDeadline, .stop = stop});
  if (stop.stop_requested()) return;
  state_.OnListAnswer(answer);
}

void WatchLoop::Stream(const Request& request, std::stop_token stop) {
  const MonotonicTime begin = SystemClock().Now();
  const auto on_line = [&](std::string_view line) {
    return !stop.stop_requested() && state_.OnLine(line);
  };
  const Result<Answer> answer =
      api_.Stream(request, target_.timeout + kWatchSilence, on_line, stop);
  if (stop.stop_requested()) return;
  state_.OnStreamEnd(
      answer, std::chrono::duration_cast<std::chrono::milliseconds>(SystemClock().Now() - begin));
}

}  // namespace lanekeeper::kubernetes
