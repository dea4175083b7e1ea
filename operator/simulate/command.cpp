#include "operator/simulate/command.h"

#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>
#include <utility>

#include "operator/control/observe.h"
#include "operator/manifest/manifest.h"
#include "operator/simulate/comparison.h"
#include "operator/simulate/read_trace.h"
#include "worker-runtime/base/duration.h"

namespace lanekeeper::simulate {
namespace {

Result<std::string> ReadFile(const std::string& file) {
  if (file == "-") return std::string(std::istreambuf_iterator<char>(std::cin), {});
  std::ifstream stream(file, std::ios::binary);
  std::string text(std::istreambuf_iterator<char>(stream), {});
  if (!stream) return Fail(ErrorKind::kNotFound, "cannot read " + file);
  return text;
}

Result<void> WriteFile(const std::string& file, const std::string& text) {
  std::ofstream stream(file, std::ios::binary);
  stream << text;
  stream.close();
  if (!stream) return Fail(ErrorKind::kInvalid, "cannot write " + file);
  return {};
}

Result<std::size_t> FindLane(const ComparedPool& pool, const std::string& name) {
  std::string known;
  for (std::size_t i = 0; i < pool.lanes.size(); ++i) {
    if (pool.lanes[i].name == name) return i;
    known += (i > 0 ? ", " : "") + pool.lanes[i].name;
  }
  return Fail(ErrorKind::kInvalid, "the pool has no lane \"" + name + "\"; it has " + known);
}

Result<std::pair<std::string, std::size_t>> ParseRule(const ComparedPool& pool,
                                                      const std::string& rule) {
  const std::size_t equals = rule.rfind('=');
  if (equals == std::string::npos || equals == 0) {
    return Fail(ErrorKind::kInvalid, "\"" + rule + "\" is not of the form what=lane");
  }
  return FindLane(pool, rule.substr(equals + 1)).map([&](std::size_t lane) {
    return std::pair(rule.substr(0, equals), lane);
  });
}

Result<Routing> ParseRouting(const ComparedPool& pool, const SimulateOptions& options) {
  Routing routing;
  for (const std::string& rule : options.routes) {
    Result<std::pair<std::string, std::size_t>> parsed = ParseRule(pool, rule);
    if (!parsed) return Wrap(std::move(parsed).error(), "--route");
    routing.types.push_back({parsed->first, parsed->second});
  }
  for (const std::string& rule : options.splits) {
    Result<std::pair<std::string, std::size_t>> parsed = ParseRule(pool, rule);
    if (!parsed) return Wrap(std::move(parsed).error(), "--split");
    Result<std::chrono::milliseconds> least = ParseDuration(parsed->first);
    if (!least) return Wrap(std::move(least).error(), "--split " + rule);
    routing.times.push_back({*least, parsed->second});
  }
  return routing;
}

Result<TraceFormat> ParseFormat(const std::string& format) {
  if (format == "plain") return TraceFormat::kPlain;
  if (format == "azure-llm") return TraceFormat::kAzureLlm;
  if (format == "alibaba-genai") return TraceFormat::kAlibabaGenAi;
  return Fail(ErrorKind::kInvalid, "--format: no format is called \"" + format +
                                       "\"; there are plain, azure-llm, alibaba-genai");
}

Result<Trace> LoadTrace(const SimulateOptions& options) {
  const Result<TraceFormat> format = ParseFormat(options.format);
  if (!format) return tl::unexpected<Error>(format.error());
  const Result<std::string> text = ReadFile(options.trace_file);
  if (!text) return Wrap(text.error(), "--trace");
  Result<Trace> trace = ReadTrace(*text, {.format = *format,
                                          .speed_up = options.speed_up,
                                          .seconds_per_request = options.seconds_per_request,
                                          .seconds_per_token = options.seconds_per_token});
  if (!trace) return Wrap(std::move(trace).error(), "reading " + options.trace_file);
  return trace;
}

Result<ComparedPool> LoadPool(const SimulateOptions& options) {
  const Result<std::string> text = ReadFile(options.pool_file);
  if (!text) return Wrap(text.error(), "--pool");
  Result<WorkerPool> pool = ReadPool(*text);
  if (!pool) return Wrap(std::move(pool).error(), "reading " + options.pool_file);
  const Result<std::chrono::milliseconds> cold_start = ParseDuration(options.cold_start);
  if (!cold_start) return Wrap(cold_start.error(), "--cold-start");
  ComparedPool compared;
  compared.budget = pool->budget;
  for (const Lane& lane : pool->lanes) {
    compared.lanes.push_back(
        {lane.name, {PolicyOf(*pool, lane), lane.workers.gpus}, Duration(*cold_start)});
  }
  return compared;
}

Result<Comparison> ParseComparison(const ComparedPool& pool, const SimulateOptions& options) {
  Comparison comparison;
  for (const std::string& name : options.policies) {
    Result<Policy> policy = ParsePolicy(name);
    if (!policy) return Wrap(std::move(policy).error(), "--policy");
    comparison.policies.push_back(*policy);
  }
  const Result<std::chrono::milliseconds> grace = ParseDuration(options.keda_grace);
  if (!grace) return Wrap(grace.error(), "--keda-grace");
  comparison.keda_grace = std::chrono::duration_cast<std::chrono::seconds>(*grace);
  if (!options.shared.empty()) {
    Result<std::size_t> lane = FindLane(pool, options.shared);
    if (!lane) return Wrap(std::move(lane).error(), "--shared");
    comparison.shared = *lane;
  }
  return comparison;
}

}  // namespace

Result<void> RunSimulate(const SimulateOptions& options, std::ostream& out) {
  const Result<ComparedPool> pool = LoadPool(options);
  if (!pool) return tl::unexpected<Error>(pool.error());
  const Result<Routing> routing = ParseRouting(*pool, options);
  if (!routing) return tl::unexpected<Error>(routing.error());
  const Result<Comparison> comparison = ParseComparison(*pool, options);
  if (!comparison) return tl::unexpected<Error>(comparison.error());
  const Result<Trace> trace = LoadTrace(options);
  if (!trace) return tl::unexpected<Error>(trace.error());

  const Compared compared = Compare(*pool, Route(*trace, *routing), *comparison);
  out << WriteTable(compared.rows);
  if (!options.csv_file.empty()) {
    if (Result<void> written = WriteFile(options.csv_file, WriteCsv(compared.rows)); !written) {
      return Wrap(std::move(written).error(), "--csv");
    }
  }
  if (!options.svg_file.empty()) {
    if (Result<void> written = WriteFile(options.svg_file, WriteSvg(compared.panels)); !written) {
      return Wrap(std::move(written).error(), "--svg");
    }
  }
  return {};
}

}  // namespace lanekeeper::simulate
