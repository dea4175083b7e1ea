#include "worker-runtime/examples/example_handlers.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <utility>

#include "worker-runtime/base/clock.h"
#include "worker-runtime/base/log.h"

namespace lanekeeper::examples {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kStep{10};  // How often a sleeping job looks whether it has to stop.
constexpr milliseconds kRecordPause{200};
constexpr milliseconds kStepTime{100};
constexpr std::int64_t kSleepMsMax = 24 * 3600 * 1000;

std::optional<std::int64_t> ParseNumber(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r\n");
  if (begin == std::string_view::npos) return 0;
  text = text.substr(begin, text.find_last_not_of(" \t\r\n") + 1 - begin);
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// False when the job was told to stop before the time was over.
bool SleepUnlessStopped(const Job& job, milliseconds time) {
  const SystemClock clock;
  const MonotonicTime until = clock.Now() + time;
  while (clock.Now() < until) {
    if (job.StopRequested()) return false;
    std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(kStep, until - clock.Now()));
  }
  return true;
}

std::string Record(const ExampleOptions& options, const Job& job, WallTime started) {
  return nlohmann::json{{"id", job.id()},
                        {"type", job.type()},
                        {"lane", options.lane},
                        {"worker", options.worker},
                        {"delivery", job.delivery()},
                        {"run", job.run()},
                        {"started", FormatRfc3339Micros(started)},
                        {"ended", FormatRfc3339Micros(SystemClock().WallNow())}}
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

// What others may see of the result: whose it is.
Outcome DoneBy(const ExampleOptions& options, const Job& job) {
  return Done{nlohmann::json{{"worker", options.worker}, {"run", job.run()}}.dump(
      -1, ' ', false, nlohmann::json::error_handler_t::replace)};
}

Outcome Stopped(const Job& job) {
  log::Info("example", "stopped", {{"job", job.id()}, {"run", job.run()}});
  return Interrupted{};
}

// The record is written before the job counts as done: a job that is done always has one. Written
// twice when its confirmation was lost; both have the same worker and start.
Outcome DoneWithRecord(const ExampleOptions& options, const Job& job, WallTime started) {
  if (!options.record) return DoneBy(options, job);
  const std::string record = Record(options, job, started);
  while (true) {
    const Result<void> written = options.record(record);
    if (written) return DoneBy(options, job);
    if (written.error().kind != ErrorKind::kRetryable) {
      return Failed{"recording the result: " + written.error().message};
    }
    if (!SleepUnlessStopped(job, kRecordPause)) return Stopped(job);
  }
}

Outcome Sleep(const ExampleOptions& options, Job& job) {
  const WallTime started = SystemClock().WallNow();
  const Result<milliseconds> time = ParseSleep(job.payload());
  if (!time) return Rejected{time.error().message};
  if (!SleepUnlessStopped(job, *time)) return Stopped(job);
  return DoneWithRecord(options, job, started);
}

Outcome Stubborn(const ExampleOptions& options, Job& job) {
  const WallTime started = SystemClock().WallNow();
  const Result<milliseconds> time = ParseSleep(job.payload());
  if (!time) return Rejected{time.error().message};
  std::this_thread::sleep_for(*time);
  return DoneWithRecord(options, job, started);
}

Outcome Hold(const ExampleOptions& options, Job& job) {
  const WallTime started = SystemClock().WallNow();
  const std::filesystem::path file(job.payload());
  if (file.empty()) return Rejected{"the payload is no path of a file"};
  std::error_code ignored;  // Not there, or not to be seen.
  while (!std::filesystem::exists(file, ignored)) {
    if (!SleepUnlessStopped(job, kStep)) return Stopped(job);
  }
  return DoneWithRecord(options, job, started);
}

Outcome Steps(const ExampleOptions& options, Job& job) {
  const WallTime started = SystemClock().WallNow();
  const std::optional<std::int64_t> steps = ParseNumber(job.payload());
  if (!steps || *steps < 0) return Rejected{"the payload is no number of steps"};
  for (std::int64_t step = ParseNumber(job.checkpoint()).value_or(0); step < *steps; ++step) {
    job.Progress(static_cast<double>(step) / static_cast<double>(*steps));
    if (!SleepUnlessStopped(job, kStepTime)) return Stopped(job);
    // Without its checkpoint a step is only done again; a job that was taken over is told to stop.
    if (const auto kept = job.Checkpoint(std::to_string(step + 1)); !kept) {
      log::Warning("example", "checkpoint_failed",
                   {{"job", job.id()}, {"run", job.run()}, {"error", kept.error().message}});
    }
  }
  return DoneWithRecord(options, job, started);
}

Outcome Flaky(const ExampleOptions& options, Job& job) {
  const WallTime started = SystemClock().WallNow();
  const std::int64_t good_attempt = ParseNumber(job.payload()).value_or(0);
  if (job.attempt() < good_attempt) {
    return Failed{"attempt " + std::to_string(job.attempt()) + " of " +
                  std::to_string(good_attempt)};
  }
  return DoneWithRecord(options, job, started);
}

}  // namespace

Result<milliseconds> ParseSleep(std::string_view payload) {
  std::optional<std::int64_t> number = ParseNumber(payload);
  if (!number) {
    const auto json = nlohmann::json::parse(payload, nullptr, false);
    if (json.is_object() && json.contains("ms") && json["ms"].is_number_integer()) {
      number = json["ms"].get<std::int64_t>();
    }
  }
  if (!number || *number < 0 || *number > kSleepMsMax) {
    return Fail(ErrorKind::kInvalid, "the payload is no number of milliseconds");
  }
  return milliseconds(*number);
}

void AddExampleHandlers(const ExampleOptions& options,
                        const std::function<void(std::string type, Handler handler)>& add) {
  const Handler sleep = [options](Job& job) { return Sleep(options, job); };
  add("", sleep);
  add("sleep", sleep);
  add("fail", [](Job&) -> Outcome { return Failed{"this job always fails"}; });
  add("poison", [](Job&) -> Outcome { return Rejected{"bad payload: this job is poison"}; });
  add("crash", [](Job&) -> Outcome { std::abort(); });
  add("flaky", [options](Job& job) { return Flaky(options, job); });
  add("steps", [options](Job& job) { return Steps(options, job); });
  add("hold", [options](Job& job) { return Hold(options, job); });
  add("stubborn", [options](Job& job) { return Stubborn(options, job); });
}

}  // namespace lanekeeper::examples
