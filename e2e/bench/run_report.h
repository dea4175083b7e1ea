// What the handlers of lanekeeper-bench-worker tell the benchmark about a run, and the jobs they
// know. Times are of the machine's monotonic clock, so both processes read the same one.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

namespace lanekeeper::e2e {

// Job types. Anything else is a no-op: nothing but Done{}.
inline constexpr const char* kJobStamp = "stamp";  // Reports its start.
inline constexpr const char* kJobNap = "nap";      // Reports its start, and takes kNap.
inline constexpr const char* kJobFail = "fail";    // Fails at once.
inline constexpr const char* kJobHold = "hold";    // Reports its start, runs until told to stop,
                                                   // reports that, and lets itself interrupt.
inline constexpr std::chrono::milliseconds kNap{20};

// Where the reports go; not set = there are none, and no connection for them.
inline constexpr const char* kEnvRunReports = "BENCH_RUN_REPORTS";

inline std::int64_t NowNs() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

struct RunReport {
  std::string worker;
  std::uint64_t slot = 0;  // The thread: slots of one worker differ in it.
  std::string job;         // Its id.
  bool stopping = false;   // false: it starts.
  std::int64_t at_ns = 0;
  std::int64_t published_ns = 0;  // By the payload.
};

inline std::string WriteRunReport(const RunReport& report) {
  return nlohmann::json{{"worker", report.worker}, {"slot", report.slot},
                        {"job", report.job},       {"stopping", report.stopping},
                        {"at", report.at_ns},      {"published", report.published_ns}}
      .dump();
}

inline RunReport ReadRunReport(const std::string& text) {
  const nlohmann::json json = nlohmann::json::parse(text);
  return {.worker = json.at("worker"),
          .slot = json.at("slot"),
          .job = json.at("job"),
          .stopping = json.at("stopping"),
          .at_ns = json.at("at"),
          .published_ns = json.at("published")};
}

// A job's payload: when it was published, filled up to `bytes`.
inline std::string StampedPayload(std::size_t bytes) {
  std::string payload = std::to_string(NowNs());
  payload.resize(std::max(bytes, payload.size()), ' ');
  return payload;
}

inline std::int64_t StampOf(const std::string& payload) { return std::atoll(payload.c_str()); }

}  // namespace lanekeeper::e2e
