#include "cli/remote/remote.h"

#include <map>
#include <utility>

#include "cli/remote/find_target.h"
#include "worker-runtime/base/duration.h"

namespace lanekeeper::cli {
namespace {

// What a person can do about it, where the gateway's own words do not say.
std::string RemedyOf(const ClientError& error) {
  if (error.problem == kNotEnded) return "; it goes on, and `lanekeeper jobs watch` waits again";
  if (error.status == 401) return "; give it one with --token-file or LANEKEEPER_TOKEN";
  if (error.status == 429 && error.retry_after) {
    return "; try again in " + std::to_string(error.retry_after->count()) + " s";
  }
  return "";
}

}  // namespace

void AddTargetFlags(CLI::App& command, TargetFlags& flags) {
  const char* group = "Which gateway";
  const auto add = [&](const char* name, auto& value, const char* text, const char* type) {
    command.add_option(name, value, text)->group(group)->type_name(type);
  };
  add("--gateway", flags.gateway, "its URL [LANEKEEPER_GATEWAY]", "URL");
  add("--token-file", flags.token_file,
      "what it is shown [LANEKEEPER_TOKEN_FILE, or the token itself in LANEKEEPER_TOKEN]", "FILE");
  add("--ca-file", flags.ca_file, "trusted beside the system's certificates, with --gateway",
      "FILE");
  command.add_flag("--local", flags.local, "that of `lanekeeper up` on this machine")->group(group);
  // `jobs --state dead` is about jobs.
  const bool taken = command.get_option_no_throw("--state") != nullptr;
  add(taken ? "--state-folder" : "--state,--state-folder", flags.state_folder,
      "of `lanekeeper up`, with what --local names [.lanekeeper]", "DIR");
  add("--kubeconfig", flags.kubeconfig, "that of this cluster [KUBECONFIG, ~/.kube/config]",
      "FILE");
  add("--context", flags.context, "of the kubeconfig", "NAME");
  add("--gateway-service", flags.gateway_service, "its Service; else found by its labels",
      "NAMESPACE/NAME");
  add("--service-account", flags.service_account,
      "whose token it is shown, for people with client certificates [lanekeeper-cli beside the "
      "gateway]",
      "NAMESPACE/NAME");
  command
      .add_option_function<std::string>(
          "--timeout",
          [&flags](const std::string& text) {
            const auto time = ParseDuration(text);
            if (!time) throw CLI::ValidationError("--timeout", time.error().message);
            flags.timeout = *time;
          },
          "of a request, its retries included [30s]")
      ->group(group)
      ->type_name("DURATION");
}

Result<std::unique_ptr<Remote>> Remote::Find(const TargetFlags& flags) {
  auto target = FindTarget(flags, PlacesOf(flags));
  if (!target) return tl::unexpected<Error>(std::move(target).error());
  return MakeRemote(std::move(target->where), std::move(target->http), flags.timeout);
}

Exit ExitOf(const ClientError& error) {
  if (error.problem == kNotEnded) return Exit::kNotEnded;
  if (error.status == 429) return Exit::kBusy;
  return ExitOf(Error{error.kind, error.message});
}

Exit Refuse(const ClientError& error) {
  Complain(error.message + RemedyOf(error));
  return ExitOf(error);
}

}  // namespace lanekeeper::cli
