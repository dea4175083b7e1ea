// Whom a command talks to: the gateway of a cluster, one at a URL, or that of `lanekeeper up` on
// this machine. Every command uses the gateway's HTTP API and nothing else.
//
// Named by a flag, or by LANEKEEPER_GATEWAY (a URL); else the first that is there: the gateway of
// the kubeconfig's cluster (through the API server's service proxy, so that it needs no address of
// its own), then the instance that holds the state folder.
#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "cli/command/command.h"
#include "worker-runtime/client/client.h"
#include "worker-runtime/client/http_call.h"

namespace lanekeeper::cli {

struct TargetFlags {
  std::string gateway;          // --gateway URL
  std::string token_file;       // --token-file; else LANEKEEPER_TOKEN_FILE, LANEKEEPER_TOKEN
  std::string ca_file;          // --ca-file
  bool local = false;           // --local
  std::string state_folder;     // --state-folder DIR [.lanekeeper]
  std::string kubeconfig;       // --kubeconfig
  std::string context;          // --context
  std::string gateway_service;  // --gateway-service NAMESPACE/NAME; else found by its labels
  std::string
      service_account;  // --service-account NAMESPACE/NAME, whose token the gateway is shown
  std::chrono::milliseconds timeout{30'000};  // --timeout
  bool unattended = false;                    // No flag: nobody is to be asked for a password.
};
// The folder is also --state, where the command does not have that already.
void AddTargetFlags(CLI::App& command, TargetFlags& flags);

// Which pool, and which lane of it, as people name them.
struct LaneName {
  std::string pool_namespace;
  std::string pool;
  std::string lane;  // Empty: none was named.
};

class Remote {
 public:
  // kRetryable: nothing answers; the message says what was tried, and names the flags.
  static Result<std::unique_ptr<Remote>> Find(const TargetFlags& flags);
  virtual ~Remote() = default;

  // "the local instance in .lanekeeper (http://127.0.0.1:41234)", for messages.
  virtual const std::string& where() const = 0;
  virtual Client& jobs() = 0;

  // A request with its answer read: JSON, or null for an empty one. Answers of 4xx and 5xx become
  // errors of the fitting kind with the problem's title and detail; 429 is kRetryable. `path` from
  // /v1 on, escaped, with its query. Requests that may be repeated (GET, PUT, DELETE) are tried
  // again until the time is over.
  virtual ClientResult<nlohmann::json> Get(const std::string& path) = 0;
  virtual ClientResult<nlohmann::json> Call(const client::HttpRequest& request) = 0;

  // "ns/pool", "pool" (the only one of that name), "" (the only pool there is), each with "/lane"
  // when `with_lane`: "ns/pool/lane", "pool/lane". kNotFound lists what there is.
  virtual ClientResult<LaneName> Resolve(std::string_view text, bool with_lane) = 0;
};

// Over any way to a gateway: what Find returns, and tests make themselves. kInvalid, naming the
// flag.
Result<std::unique_ptr<Remote>> MakeRemote(std::string where,
                                           std::shared_ptr<client::HttpCaller> http,
                                           std::chrono::milliseconds timeout);

// kUsage, kNotFound, …: from the kind and the problem. 429 is kBusy, kNotEnded is kNotEnded.
Exit ExitOf(const ClientError& error);
Exit Refuse(const ClientError& error);

}  // namespace lanekeeper::cli
