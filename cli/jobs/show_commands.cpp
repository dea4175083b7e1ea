// `lanekeeper jobs show`, `logs`, `watch`: what is known of one job.
#include <algorithm>
#include <chrono>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/jobs/commands.h"
#include "cli/jobs/follow.h"
#include "cli/jobs/job_text.h"
#include "worker-runtime/base/duration.h"

namespace lanekeeper::jobs {
namespace {

using cli::Exit;
using nlohmann::json;

constexpr std::chrono::hours kWatchTime{24 * 365};

ClientResult<json> ReadJob(cli::Remote& remote, const IdOptions& options) {
  const auto pool = PoolOf(remote, options.pool, options.ids.front());
  if (!pool) return tl::unexpected<ClientError>(pool.error());
  return remote.Get(JobPath(*pool, options.ids.front()));
}

Exit Show(const IdOptions& options, cli::Remote& remote) {
  const auto job = ReadJob(remote, options);
  if (!job) return cli::Refuse(job.error());
  cli::PrintOne(std::cout, options.format, *job, JobFields(*job));
  return Exit::kOk;
}

void PrintLines(const std::string& text, const std::string& indent) {
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    std::cout << indent << cli::Printable(std::string_view(text).substr(begin, end - begin))
              << '\n';
    begin = end + 1;
  }
}

// What its runs say, and of a dead job the last lines that its handler printed.
Exit Logs(const IdOptions& options, cli::Remote& remote) {
  const auto job = ReadJob(remote, options);
  if (!job) return cli::Refuse(job.error());
  json said{{"id", job->value("id", "")}, {"runs", job->value("runs", json::array())}};
  if (job->value("state", "") == "dead") {
    const auto letter = FindDeadLetter(remote, *job);
    if (letter && letter->contains("output")) said["output"] = (*letter)["output"];
    if (!letter && letter.error().kind != ErrorKind::kNotFound) return cli::Refuse(letter.error());
  }
  if (options.format == cli::Format::kJson || options.format == cli::Format::kYaml) {
    cli::PrintOne(std::cout, options.format, said, {});
    return Exit::kOk;
  }
  if (said["runs"].empty()) {
    std::cout << cli::Printable(NoRunsText(*job)) << '\n';
  }
  std::size_t number = 0;
  for (const json& run : said["runs"]) PrintLines(RunText(++number, run), "");
  const std::string output = said.value("output", "");
  if (!output.empty()) {
    std::cout << "  last lines of its output:\n";
    PrintLines(output, "    ");
  }
  return Exit::kOk;
}

struct WatchOptions : IdOptions {
  std::string time;
};

Exit Watch(const WatchOptions& options) {
  std::chrono::milliseconds time = kWatchTime;
  if (!options.time.empty()) {
    const auto read = ParseDuration(options.time);
    if (!read) return cli::Refuse(Error{ErrorKind::kInvalid, "--for: " + read.error().message});
    time = *read;
  }
  return WithRemote(options.target, [&](cli::Remote& remote) {
    const auto pool = PoolOf(remote, options.pool, options.ids.front());
    if (!pool) return cli::Refuse(pool.error());
    return Follow(remote, *pool, options.ids.front(), time, options.format);
  });
}

}  // namespace

void AddShowCommands(CLI::App& jobs, cli::Commands commands) {
  const auto add = [&](const char* name, const char* what, const char* examples, auto act) {
    const auto options = std::make_shared<IdOptions>();
    CLI::App* app = jobs.add_subcommand(name, what);
    app->footer(examples);
    AddIdFlags(*app, *options, /*many=*/false);
    app->callback([options, act, &run = commands.run] {
      run = [options, act] {
        return WithRemote(options->target,
                          [&](cli::Remote& remote) { return act(*options, remote); });
      };
    });
  };
  add("show", "Shows one job",
      "Examples:\n  lanekeeper jobs show LK_studio_media_short.17\n"
      "  lanekeeper jobs show scan-17 --pool media -o yaml",
      Show);
  add("logs", "Shows the runs of one job: where, when, how they ended, and what a dead one printed",
      "Examples:\n  lanekeeper jobs logs LK_studio_media_short.17", Logs);

  const auto options = std::make_shared<WatchOptions>();
  CLI::App* app = jobs.add_subcommand("watch", "Prints every change of a job until its end");
  app->footer(
      "Examples:\n  lanekeeper jobs watch LK_studio_media_short.17\n"
      "  lanekeeper jobs watch LK_studio_media_short.17 --for 10m -o json\n"
      "  lanekeeper jobs watch scan-17 --pool media\n\n"
      "Exit status: 0 done, 1 dead or cancelled, 7 not ended in time.");
  app->add_option("--for", options->time, "at most so long")->type_name("DURATION");
  AddIdFlags(*app, *options, /*many=*/false);
  app->callback([options, &run = commands.run] { run = [options] { return Watch(*options); }; });
}

}  // namespace lanekeeper::jobs
