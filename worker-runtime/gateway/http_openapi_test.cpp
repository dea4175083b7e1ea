// openapi.json against the code, in both directions.
#include "worker-runtime/gateway/http_openapi.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string>

#include "worker-runtime/gateway/http_api.h"
#include "worker-runtime/gateway/http_json.h"
#include "worker-runtime/gateway/http_metrics.h"
#include "worker-runtime/gateway/http_problem.h"
#include "worker-runtime/gateway/testing/fake_desk.h"
#include "worker-runtime/gateway/testing/fake_pools.h"

namespace lanekeeper::gateway {
namespace {

using nlohmann::json;

const json& Document() {
  static const json document = json::parse(OpenApiDocument());
  return document;
}

// What "$ref" leads to.
json Resolve(const json& value) {
  const auto ref = value.find("$ref");
  if (ref == value.end()) return value;
  return Document().at(json::json_pointer(ref->get<std::string>().substr(1)));
}

std::string UpperCase(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](char c) { return static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c); });
  return text;
}

// Calls `each` with "METHOD path", the operation, and the parameters of both.
template <typename Each>
void ForEachOperation(Each each) {
  for (const auto& [path, item] : Document()["paths"].items()) {
    for (const auto& [method, operation] : item.items()) {
      if (method == "parameters") continue;
      json parameters = item.value("parameters", json::array());
      for (const json& parameter : operation.value("parameters", json::array())) {
        parameters.push_back(parameter);
      }
      each(UpperCase(method) + " " + path, operation, parameters);
    }
  }
}

class HttpOpenApiTest : public testing::Test {
 protected:
  FakeGateway gateway_;
  FakeDesk desk_;
  FakePools pools_;
  std::unique_ptr<Authorizer> authorizer_ = MakeOpenAuthorizer();
  HttpMetrics metrics_;
  Alarms alarms_;
  CallQueue slow_{1, 1};
  HttpLive live_;
  HttpParts parts_{gateway_, desk_,   pools_, *authorizer_, nullptr,
                   metrics_, alarms_, slow_,  live_,        std::chrono::seconds(15),
                   {}};
  HttpRoutes routes_ = MakeRoutes(parts_);
};

TEST_F(HttpOpenApiTest, ThePathsAreThoseOfTheRouter) {
  std::set<std::string> documented;
  ForEachOperation(
      [&](const std::string& name, const json&, const json&) { documented.insert(name); });
  std::set<std::string> served;
  for (const HttpRoute& route : routes_) {
    served.insert(std::string(route.method) + " " + std::string(route.path));
  }
  EXPECT_EQ(documented, served);
  EXPECT_EQ(served.size(), routes_.size()) << "a path is there twice";
}

TEST_F(HttpOpenApiTest, TheQueryParametersAreThoseThatAreTaken) {
  ForEachOperation([&](const std::string& name, const json&, const json& parameters) {
    std::multiset<std::string> documented;
    for (const json& parameter : parameters) {
      const json resolved = Resolve(parameter);
      if (resolved["in"] == "query") documented.insert(resolved["name"]);
    }
    for (const HttpRoute& route : routes_) {
      if (name != std::string(route.method) + " " + std::string(route.path)) continue;
      EXPECT_EQ(documented, std::multiset<std::string>(route.query.begin(), route.query.end()))
          << name;
    }
  });
}

TEST_F(HttpOpenApiTest, ThePartsOfThePathAreDescribed) {
  ForEachOperation([&](const std::string& name, const json&, const json& parameters) {
    for (const json& parameter : parameters) {
      const json resolved = Resolve(parameter);
      if (resolved["in"] != "path") continue;
      EXPECT_NE(name.find("{" + resolved["name"].get<std::string>() + "}"), std::string::npos)
          << name;
    }
    const auto braces = std::count(name.begin(), name.end(), '{');
    const auto described =
        std::count_if(parameters.begin(), parameters.end(),
                      [](const json& each) { return Resolve(each)["in"] == "path"; });
    EXPECT_EQ(braces, described) << name;
  });
}

TEST_F(HttpOpenApiTest, TheAnswersAreOfTheMediaTypeThatIsServed) {
  ForEachOperation([&](const std::string& name, const json& operation, const json&) {
    for (const HttpRoute& route : routes_) {
      if (name != std::string(route.method) + " " + std::string(route.path)) continue;
      const bool is_public = operation.contains("security") && operation["security"].empty();
      EXPECT_EQ(is_public, route.access == Access::kPublic) << name;
      if (route.media.empty()) continue;
      EXPECT_TRUE(operation["responses"]["200"]["content"].contains(route.media)) << name;
    }
  });
}

TEST_F(HttpOpenApiTest, EveryProblemIsDocumentedWithItsStatusAndTitle) {
  std::set<std::string> types;
  for (const json& type :
       Document()["components"]["schemas"]["Problem"]["properties"]["type"]["enum"]) {
    types.insert(type.get<std::string>());
  }
  std::set<std::string> ours;
  std::set<std::string> shown;
  for (int i = 0; i <= static_cast<int>(ProblemType::kWorkerSilent); ++i) {
    ours.insert(std::string(kProblemBase).append(NameOf(static_cast<ProblemType>(i))));
  }
  // What the transport says by itself, before there is a path.
  for (const char* type : {"request-timeout", "headers-too-large", "internal-error"}) {
    ours.insert(std::string(kProblemBase).append(type));
  }
  EXPECT_EQ(types, ours);
  for (const auto& [name, response] : Document()["components"]["responses"].items()) {
    for (const auto& [type, example] : response["content"][kProblemMedia]["examples"].items()) {
      const json& value = example["value"];
      shown.insert(value["type"].get<std::string>());
      for (int i = 0; i <= static_cast<int>(ProblemType::kWorkerSilent); ++i) {
        const auto problem = static_cast<ProblemType>(i);
        if (NameOf(problem) != type) continue;
        EXPECT_EQ(value["status"], StatusOf(problem)) << type;
        EXPECT_EQ(value["title"], TitleOf(problem)) << type;
      }
    }
  }
  EXPECT_EQ(shown, ours) << "each has an example";
}

TEST_F(HttpOpenApiTest, ProblemsStandAtTheStatusTheyHave) {
  ForEachOperation([&](const std::string& name, const json& operation, const json&) {
    for (const auto& [status, response] : operation["responses"].items()) {
      if (status == "default") continue;
      const json resolved = Resolve(response);
      if (!resolved.contains("content") || !resolved["content"].contains(kProblemMedia)) continue;
      for (const auto& [type, example] : resolved["content"][kProblemMedia]["examples"].items()) {
        EXPECT_EQ(std::to_string(example["value"]["status"].get<int>()), status)
            << name << " " << type;
      }
    }
  });
}

TEST_F(HttpOpenApiTest, TheExamplesOfBodiesAreTaken) {
  const json& content =
      Document()["paths"]["/v1/pools/{namespace}/{pool}/jobs"]["post"]["requestBody"]["content"];
  EXPECT_TRUE(ParseSubmission(content["application/json"]["example"].dump()));
  std::istringstream lines(content["application/x-ndjson"]["example"].get<std::string>());
  for (std::string line; std::getline(lines, line);) EXPECT_TRUE(ParseSubmission(line)) << line;
  const auto example = [](const std::string& path) {
    return Document()["paths"]["/v1/pools/{namespace}/{pool}" + path]["post"]["requestBody"]
                     ["content"]["application/json"]["example"]
                         .dump();
  };
  EXPECT_TRUE(ReadReplayMany(example("/dead/replay")));
  EXPECT_TRUE(ReadDiscardMany(example("/dead/discard")));
  EXPECT_TRUE(ReadReplayOne(example("/dead/{sequence}/replay")));
  EXPECT_TRUE(ReadPause(example("/lanes/{lane}/pause"), std::chrono::system_clock::now()));
}

TEST_F(HttpOpenApiTest, TheFieldsOfASubmissionAreThoseThatAreTaken) {
  const json& schema = Document()["components"]["schemas"]["Submission"];
  const json values = json::parse(R"({
      "type":"a","payload":{},"payload_base64":"","lane":"short","deadline":"2026-11-26T02:00:00Z",
      "timeout":"90s","headers":{"tenant":"acme"},"idempotency_key":"k"})");
  for (const auto& [name, property] : schema["properties"].items()) {
    ASSERT_TRUE(values.contains(name)) << name;
    EXPECT_TRUE(ParseSubmission(json{{name, values[name]}}.dump())) << name;
  }
  EXPECT_EQ(schema["properties"].size(), values.size());
  EXPECT_FALSE(ParseSubmission(R"({"another":1})"));
}

// Every field that is written stands in the schema.
void ExpectDescribed(const json& value, const json& schema, const std::string& where) {
  const json resolved = Resolve(schema);
  if (value.is_array()) {
    for (const json& item : value) ExpectDescribed(item, resolved["items"], where + "[]");
    return;
  }
  if (!value.is_object() || !resolved.contains("properties")) return;
  for (const auto& [name, field] : value.items()) {
    const std::string at = where + "." + name;
    ASSERT_TRUE(resolved["properties"].contains(name)) << at;
    ExpectDescribed(field, resolved["properties"][name], at);
  }
  for (const json& name : resolved.value("required", json::array())) {
    EXPECT_TRUE(value.contains(name)) << where << " lacks " << name;
  }
}

TEST_F(HttpOpenApiTest, WhatIsWrittenIsDescribed) {
  const auto expect = [](const std::string& written, const char* schema) {
    ExpectDescribed(json::parse(written), Document()["components"]["schemas"][schema], schema);
  };
  const Accepted accepted{.id = "a/b",
                          .lane = {"studio", "media", "short"},
                          .position = 1,
                          .eta = std::chrono::seconds(2)};
  expect(WriteAccepted(accepted, ViewState::kWaiting), "Accepted");
  expect(WriteBulkAccepted(1, accepted), "BulkResult");
  expect(WriteBulkProblem(2, {ProblemType::kLaneFull, "full", std::chrono::seconds(1)}),
         "BulkResult");
  JobView job{.id = "a",
              .lane = {"studio", "media", "short"},
              .type = "t",
              .revision = 3,
              .record = JobRecord{.id = "a",
                                  .attempts = 1,
                                  .runs = 1,
                                  .worker = "w",
                                  .progress = 0.5,
                                  .progress_note = "half",
                                  .result = "{}",
                                  .error = "e",
                                  .error_class = "c",
                                  .dead_reason = "rejected",
                                  .history = {{}}}};
  job.state = ViewState::kDead;
  expect(WriteJobList({.jobs = {job}, .next = "n"}), "JobList");
  const PoolBrief pool{.pool_namespace = "studio",
                       .pool = "media",
                       .lanes = {{.name = "short", .admission = {std::chrono::seconds(60), 5}}},
                       .routes = {{"t", "short"}}};
  expect(WritePoolList({std::make_shared<const PoolBrief>(pool)}), "PoolList");
  const LanePause pause{.until = WallTime{}, .reason = "r", .by = "ana"};
  expect(WritePool(pool, {{&pool.lanes[0], LaneGauge{1, 1, 1, std::chrono::seconds(1)}, pause}},
                   {.json = R"({"lanes":[]})"}),
         "Pool");
  expect(WritePause("short", pause), "LanePause");
  JobView running = job;
  running.state = ViewState::kRunning;
  expect(WriteWorkers({{.lane = "short",
                        .said = {.name = "w", .state = WorkerState::kDraining, .ending = true},
                        .jobs = {running}}},
                      false),
         "WorkerList");
  expect(WriteWorker("short", {.worker = "w", .ending = true}), "Worker");
  expect(WriteDecisions({{.sentence = "s",
                          .reason = "BacklogGrew",
                          .observed_only = true,
                          .terms = {{"Demand", 3, "t"}}}}),
         "DecisionList");
  const DeadEntry entry{.sequence = 1,
                        .lane = "short",
                        .job_id = "a",
                        .type = "t",
                        .headers = {{"a", "\xff"}},
                        .reason = "rejected",
                        .error_class = "c",
                        .message = "m",
                        .output = {"o"},
                        .first_started_at = WallTime{},
                        .worker = "w",
                        .job_stream = "s"};
  expect(WriteDeadList({entry}, 3), "DeadLetterList");
  expect(WriteDeadEntry(entry, true), "DeadLetter");
  expect(WriteDeadGroups({.groups = {{.fingerprint = "f",
                                      .type = "t",
                                      .error_class = "c",
                                      .message = "m",
                                      .count = 1}}}),
         "DeadLetterGroups");
  expect(
      WriteDeadCount({.done = 1, .kept = 1, .kept_why = "w", .complete = false, .ended_by = "e"}),
      "DeadLetterProgress");
}

}  // namespace
}  // namespace lanekeeper::gateway
