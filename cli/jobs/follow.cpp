#include "cli/jobs/follow.h"

#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/jobs/job_text.h"

namespace lanekeeper::jobs {
namespace {

using cli::Exit;
using cli::Format;

bool IsStructured(Format format) { return format == Format::kJson || format == Format::kYaml; }

// As the gateway says it.
void PrintWhole(const JobStatus& job, Format format) {
  const auto all = nlohmann::json::parse(job.json, nullptr, /*allow_exceptions=*/false);
  cli::PrintOne(std::cout, format, all, {});
}

// Bytes as they are for a program that reads them; a terminal must not be driven by them.
void PrintResult(const std::string& result) {
  if (result.empty()) return;
  if (isatty(STDOUT_FILENO) == 0) {
    std::cout << result << (result.back() == '\n' ? "" : "\n");
    return;
  }
  for (std::size_t begin = 0; begin < result.size();) {
    const std::size_t end = std::min(result.find('\n', begin), result.size());
    std::cout << cli::Printable(std::string_view(result).substr(begin, end - begin)) << '\n';
    begin = end + 1;
  }
}

}  // namespace

Exit PrintEnd(const ClientResult<JobStatus>& job, Format format) {
  if (!job) return cli::Refuse(job.error());
  if (IsStructured(format)) {
    PrintWhole(*job, format);
  } else if (job->state == "done") {
    PrintResult(job->result);
  }
  std::cout.flush();
  if (job->state == "done") return Exit::kOk;
  cli::Complain(EndText(*job));
  return Exit::kFailed;
}

Exit Follow(cli::Remote& remote, const cli::LaneName& pool, const std::string& id,
            std::chrono::milliseconds time, Format format) {
  std::string last;
  const auto changed = [&](const JobStatus& job) {
    if (format == Format::kJson) {
      std::cout << job.json << std::endl;
    } else if (format == Format::kYaml) {
      std::cout << "---\n";
      PrintWhole(job, format);
      std::cout.flush();
    } else if (std::string line = ChangeLine(job); line != last) {
      std::cout << line << std::endl;
      last = std::move(line);
    }
    return static_cast<bool>(std::cout);  // Nobody reads any more.
  };
  const auto end = pool.pool.empty() ? remote.jobs().Watch(id, time, changed)
                                     : remote.jobs().Watch(PoolName{pool.pool_namespace, pool.pool},
                                                           id, time, changed);
  // The last change had all of it.
  if (end && IsStructured(format)) return end->state == "done" ? Exit::kOk : Exit::kFailed;
  return PrintEnd(end, format);
}

}  // namespace lanekeeper::jobs
