#include "operator/local/worker_command.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <string_view>

#include "operator/control/lane_settings.h"
#include "worker-runtime/job/names.h"

namespace lanekeeper {
namespace {

using nlohmann::json;

constexpr std::string_view kReserved = "LANEKEEPER_";

const json* Find(const json& object, const char* name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::string TextOf(const json& object, const char* name) {
  const json* value = Find(object, name);
  return value != nullptr && value->is_string() ? value->get<std::string>() : "";
}

const json* WorkerContainer(const json& containers) {
  for (const json& container : containers) {
    if (TextOf(container, "name") == "worker") return &container;
  }
  return &containers.front();
}

void AddWords(const json& container, const char* field, std::vector<std::string>& words) {
  const json* list = Find(container, field);
  if (list == nullptr || !list->is_array()) return;
  for (const json& word : *list) {
    words.push_back(word.is_string() ? word.get<std::string>() : word.dump());
  }
}

// "a, b and c".
std::string Joined(const std::set<std::string>& names) {
  std::string text;
  std::size_t left = names.size();
  for (const std::string& name : names) {
    text += name + (--left > 1 ? ", " : left == 1 ? " and " : "");
  }
  return text;
}

// The names of the fields of `object` that are not in `known`.
void AddOthers(const json& object, const std::set<std::string>& known, const std::string& prefix,
               std::set<std::string>& others) {
  for (const auto& [name, value] : object.items()) {
    if (!known.contains(name) && !value.is_null()) others.insert(prefix + name);
  }
}

void ReadEnvironment(const json& container, WorkerCommand& command) {
  const json* env = Find(container, "env");
  if (env == nullptr || !env->is_array()) return;
  std::set<std::string> without_value;
  for (const json& variable : *env) {
    const std::string name = TextOf(variable, "name");
    if (name.empty()) continue;
    if (Find(variable, "valueFrom") != nullptr) {
      without_value.insert(name);
    } else {
      command.of_template.emplace_back(name, TextOf(variable, "value"));
    }
  }
  if (without_value.empty()) return;
  command.left_out.push_back("The template takes " + Joined(without_value) +
                             " from a cluster (valueFrom); set in the environment of lanekeeper, "
                             "workers get it from there.");
}

// Everything of the pod that a process does not have, a sentence each.
void CollectLeftOut(const json& pod_spec, const json& worker, const Lane& lane,
                    WorkerCommand& command) {
  std::set<std::string> others;
  AddOthers(worker, {"name", "command", "args", "env"}, "", others);
  AddOthers(pod_spec, {"containers"}, "", others);
  if (!others.empty()) {
    command.left_out.push_back(
        "Workers are processes of this machine: " + Joined(others) +
        (others.size() == 1 ? " of the template means" : " of the template mean") +
        " nothing to them.");
  }
  std::set<std::string> besides;
  for (const json& container : pod_spec["containers"]) {
    if (&container != &worker) besides.insert("\"" + TextOf(container, "name") + "\"");
  }
  if (!besides.empty()) {
    command.left_out.push_back("Only the worker container is started, not " + Joined(besides) +
                               ".");
  }
  if (lane.nats) {
    command.left_out.push_back(
        "spec.nats means nothing here: the queues of all pools are on the server of this process.");
  }
  if (lane.workers.gpus > 0) {
    command.left_out.push_back(
        "GPUs are counted against the budget, but no process is given or denied one.");
  }
}

void Set(Variables& variables, const std::string& name, const std::string& value) {
  const auto found = std::ranges::find(variables, name, &Variables::value_type::first);
  if (found != variables.end()) {
    found->second = value;
  } else {
    variables.emplace_back(name, value);
  }
}

}  // namespace

Result<WorkerCommand> ReadWorkerCommand(const WorkerPool& pool, const Lane& lane,
                                        const std::string& nats_url) {
  const json pod_template = json::parse(lane.template_json, nullptr, false);
  const json* pod_spec = Find(pod_template, "spec");
  const json* containers = pod_spec == nullptr ? nullptr : Find(*pod_spec, "containers");
  if (containers == nullptr || !containers->is_array() || containers->empty()) {
    return Fail(ErrorKind::kInvalid, "lane " + lane.name + ": the template has no container");
  }
  const json& worker = *WorkerContainer(*containers);
  WorkerCommand command;
  AddWords(worker, "command", command.words);
  if (command.words.empty()) {
    return Fail(ErrorKind::kInvalid,
                "lane " + lane.name + ": container \"" + TextOf(worker, "name") +
                    "\" has no command, and that of its image is not known here; write it into "
                    "the template as command: [program, …]");
  }
  AddWords(worker, "args", command.words);
  ReadEnvironment(worker, command);
  for (const LaneSetting& setting : LaneSettings(pool, lane, nats_url)) {
    command.settings.emplace_back(setting.name, setting.value);
  }
  // Many of them share this machine's ports, and nobody asks for their metrics.
  command.settings.emplace_back(kEnvHttpPort, "0");
  command.grace = lane.workers.grace;
  CollectLeftOut(*pod_spec, worker, lane, command);
  return command;
}

std::string ExpandVariables(const std::string& text, const Variables& variables) {
  std::string expanded;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char next = at + 1 < text.size() ? text[at + 1] : '\0';
    if (text[at] != '$' || (next != '$' && next != '(')) {
      expanded += text[at];
      continue;
    }
    if (next == '$') {
      expanded += '$';
      ++at;
      continue;
    }
    const std::size_t end = text.find(')', at);
    const std::string name = end == std::string::npos ? "" : text.substr(at + 2, end - at - 2);
    const auto found = std::ranges::find(variables, name, &Variables::value_type::first);
    if (name.empty() || found == variables.end()) {
      expanded += text[at];
      continue;
    }
    expanded += found->second;
    at = end;
  }
  return expanded;
}

Result<handlers::Command> CommandFor(const WorkerCommand& command, const std::string& worker,
                                     const std::vector<std::string>& inherited,
                                     const std::string& path) {
  // What $(NAME) may refer to: the container's own variables, as in a pod.
  Variables own;
  const auto set_settings = [&](Variables& into) {
    for (const auto& [name, value] : command.settings) Set(into, name, value);
    Set(into, kEnvWorker, worker);
  };
  set_settings(own);
  for (const auto& [name, value] : command.of_template) {
    if (!name.starts_with(kReserved)) Set(own, name, ExpandVariables(value, own));
  }
  Variables all;
  for (const std::string& variable : inherited) {
    const std::size_t equals = variable.find('=');
    if (equals == std::string::npos || variable.starts_with(kReserved)) continue;
    Set(all, variable.substr(0, equals), variable.substr(equals + 1));
  }
  Set(all, "PATH", path);
  for (const auto& [name, value] : own) Set(all, name, value);

  handlers::Command started;
  for (const std::string& word : command.words) {
    started.arguments.push_back(ExpandVariables(word, own));
  }
  Result<std::string> program = handlers::ResolveProgram(started.arguments.front(), path);
  if (!program) {
    return Fail(ErrorKind::kInvalid, program.error().message +
                                         ", neither beside lanekeeper nor on PATH; install it, or "
                                         "name another in the template's command");
  }
  started.program = *std::move(program);
  for (const auto& [name, value] : all) started.environment.push_back(name + "=" + value);
  return started;
}

}  // namespace lanekeeper
