// `lanekeeper submit`: one job, or many from a file of lines.
#include <algorithm>
#include <chrono>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <utility>

#include "cli/jobs/commands.h"
#include "cli/jobs/follow.h"
#include "cli/jobs/submission.h"
#include "worker-runtime/base/duration.h"

namespace lanekeeper::jobs {
namespace {

using cli::Exit;
using cli::Format;
using nlohmann::json;

constexpr std::size_t kPayloadBytesMax = 16 << 20;
constexpr std::size_t kBulkBytesMax = 256 << 20;
// Handed in at a time: what is said about them is printed before the next.
constexpr std::size_t kBulkStep = 1000;
constexpr std::chrono::hours kFollowTime{24 * 365};

constexpr const char* kExamples = R"(Examples:
  lanekeeper submit media '{"url": "s3://in/1.png"}' --type thumbnail
  lanekeeper submit studio/media --lane long --file video.json --job-timeout 2h
  echo hello | lanekeeper submit media --type echo - --wait 60s
  lanekeeper submit media --type render --key order-17 --follow < /dev/null
  lanekeeper submit media --bulk jobs.ndjson

A line of --bulk is {"type": "thumbnail", "payload": …}, with "lane", "payload_base64",
"idempotency_key", "timeout", "deadline" and "headers" where they differ from the flags.
Prints the id. Exit status: with --wait and --follow 0 done, 1 dead or cancelled, 7 not ended in
time; 6 the lane is full; 2 to 5 as for every command.)";

struct Options {
  cli::TargetFlags target;
  Format format = Format::kTable;
  JobFlags job;
  std::string pool;
  std::string payload;
  bool has_payload = false;
  std::string file;
  std::string bulk;
  std::string wait;
  bool follow = false;
};

Result<void> CheckFlags(const Options& options) {
  const int sources = (options.has_payload ? 1 : 0) + (options.file.empty() ? 0 : 1) +
                      (options.bulk.empty() ? 0 : 1);
  if (sources > 1) {
    return Fail(ErrorKind::kInvalid, "PAYLOAD, --file and --bulk: give one of them");
  }
  if (options.bulk.empty()) return {};
  if (!options.job.key.empty()) {
    return Fail(ErrorKind::kInvalid,
                "--key is of one job; lines of --bulk have \"idempotency_key\"");
  }
  if (options.follow || !options.wait.empty()) {
    return Fail(ErrorKind::kInvalid, "--wait and --follow are for one job, not for --bulk");
  }
  return {};
}

Result<std::string> ReadPayload(const Options& options) {
  if (options.has_payload && options.payload != "-") return options.payload;
  if (!options.has_payload && options.file.empty()) return std::string();
  auto text = ReadInput(options.has_payload ? "-" : options.file, std::cin, kPayloadBytesMax);
  if (!text) return Wrap(std::move(text).error(), "the payload");
  return text;
}

json ToJson(const SubmittedJob& job) {
  json item{{"id", job.id}, {"lane", job.lane}};
  if (job.position) item["position"] = *job.position;
  if (job.eta) item["eta_seconds"] = job.eta->count();
  return item;
}

Exit SubmitOne(const Options& options, cli::Remote& remote, const PoolName& pool, NewJob job,
               std::chrono::milliseconds wait) {
  const auto submitted = remote.jobs().Submit(pool, job);
  if (!submitted) return cli::Refuse(submitted.error());
  const bool waits = wait > std::chrono::milliseconds(0) && !options.follow;
  if (waits) return PrintEnd(remote.jobs().Wait(submitted->id, wait), options.format);
  // What is followed is named too, but not between lines of JSON.
  if (options.format == Format::kTable || options.format == Format::kWide) {
    std::cout << cli::Printable(submitted->id) << std::endl;
  } else if (!options.follow) {
    cli::PrintOne(std::cout, options.format, ToJson(*submitted), {});
  }
  if (!options.follow) return Exit::kOk;
  return Follow(remote, {}, submitted->id, wait > std::chrono::milliseconds(0) ? wait : kFollowTime,
                options.format);
}

// What became of the lines, as they are answered.
class BulkReport {
 public:
  explicit BulkReport(Format format) : format_(format) {}

  void Add(std::size_t line, const ClientResult<SubmittedJob>& result) {
    if (result) {
      ++submitted_;
    } else {
      ++refused_;
      if (worst_ == Exit::kOk) worst_ = cli::ExitOf(result.error());
    }
    if (format_ == Format::kTable || format_ == Format::kWide) {
      if (result) {
        std::cout << line << "  " << cli::Printable(result->id) << '\n';
      } else {
        cli::Complain("line " + std::to_string(line) + ": " + result.error().message);
      }
      return;
    }
    json item = result ? ToJson(*result) : json{{"error", result.error().message}};
    if (!result && !result.error().problem.empty()) item["problem"] = result.error().problem;
    item["line"] = line;
    items_.push_back(std::move(item));
  }

  Exit End() const {
    if (format_ == Format::kTable || format_ == Format::kWide) {
      std::cout << submitted_ << " submitted, " << refused_ << " refused" << std::endl;
    } else {
      cli::PrintItems(std::cout, format_, items_, {}, "");
    }
    return worst_;
  }

 private:
  const Format format_;
  json items_ = json::array();
  std::int64_t submitted_ = 0;
  std::int64_t refused_ = 0;
  Exit worst_ = Exit::kOk;  // Of the first that was refused.
};

Exit SubmitBulk(const Options& options, cli::Remote& remote, const PoolName& pool,
                const std::vector<Line>& lines) {
  BulkReport report(options.format);
  for (std::size_t begin = 0; begin < lines.size(); begin += kBulkStep) {
    const std::size_t end = std::min(begin + kBulkStep, lines.size());
    std::vector<NewJob> jobs;
    jobs.reserve(end - begin);
    for (std::size_t n = begin; n < end; ++n) jobs.push_back(lines[n].job);
    const auto results = remote.jobs().SubmitMany(pool, jobs);
    for (std::size_t n = begin; n < end; ++n) report.Add(lines[n].number, results[n - begin]);
  }
  return report.End();
}

// Everything that can be wrong with what was given is said before anything is sent.
Exit Submit(const Options& options) {
  UnblockStopSignals();  // Ctrl-C ends a command that waits.
  const WallTime now = std::chrono::system_clock::now();
  if (const auto checked = CheckFlags(options); !checked) return cli::Refuse(checked.error());
  auto job = ReadJobFlags(options.job, now);
  if (!job) return cli::Refuse(job.error());
  std::chrono::milliseconds wait{0};
  if (!options.wait.empty()) {
    const auto time = ParseDuration(options.wait);
    if (!time) return cli::Refuse(Error{ErrorKind::kInvalid, "--wait: " + time.error().message});
    wait = *time;
  }
  std::vector<Line> lines;
  if (options.bulk.empty()) {
    auto payload = ReadPayload(options);
    if (!payload) return cli::Refuse(payload.error());
    job->payload = *std::move(payload);
  } else {
    const auto text = ReadInput(options.bulk, std::cin, kBulkBytesMax);
    if (!text) return cli::Refuse(Error{text.error().kind, "--bulk: " + text.error().message});
    auto read = ReadLines(*text, *job, now);
    if (!read) return cli::Refuse(Error{read.error().kind, "--bulk: " + read.error().message});
    lines = *std::move(read);
  }
  const auto remote = cli::Remote::Find(options.target);
  if (!remote) return cli::Refuse(remote.error());
  const auto pool = (*remote)->Resolve(options.pool, /*with_lane=*/false);
  if (!pool) return cli::Refuse(pool.error());
  const PoolName name{pool->pool_namespace, pool->pool};
  if (!options.bulk.empty()) return SubmitBulk(options, **remote, name, lines);
  return SubmitOne(options, **remote, name, *std::move(job), wait);
}

}  // namespace

void AddSubmitCommand(cli::Commands commands) {
  const auto options = std::make_shared<Options>();
  CLI::App* app = commands.app.add_subcommand("submit", "Hands in a job, or many");
  app->footer(kExamples);
  app->add_option("pool", options->pool, "[NAMESPACE/]POOL")->required()->type_name("POOL");
  CLI::Option* payload =
      app->add_option("payload", options->payload, "its payload; - is standard input");
  payload->type_name("PAYLOAD");
  app->add_option("--lane", options->job.lane, "[the pool's routes decide]")->type_name("LANE");
  app->add_option("--type", options->job.type, "which handler")->type_name("TYPE");
  app->add_option("-f,--file", options->file, "with the payload; - is standard input")
      ->type_name("FILE");
  app->add_option("--bulk", options->bulk, "one job a line; - is standard input")
      ->type_name("FILE");
  app->add_option("--key", options->job.key, "two submits with one key are one job")
      ->type_name("KEY");
  app->add_option("--job-timeout", options->job.timeout, "of a run, less than the lane's")
      ->type_name("DURATION");
  app->add_option("--deadline", options->job.deadline,
                  "not started by then, it is a dead letter: a time, or a duration from now")
      ->type_name("TIME");
  app->add_option("--header", options->job.headers, "for the handler; may be repeated")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  app->add_option("--wait", options->wait, "for its end, at most so long; prints its result")
      ->type_name("DURATION");
  app->add_flag("--follow", options->follow, "print every change until its end");
  cli::AddOutputFlag(*app, options->format);
  cli::AddTargetFlags(*app, options->target);
  app->callback([options, payload, &run = commands.run] {
    options->has_payload = payload->count() > 0;
    run = [options] { return Submit(*options); };
  });
}

}  // namespace lanekeeper::jobs
