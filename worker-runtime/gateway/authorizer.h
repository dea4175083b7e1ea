// Who a request comes from, and whether they may do what they ask for. Ports and their values.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "worker-runtime/base/result.h"
#include "worker-runtime/gateway/problem.h"
#include "worker-runtime/gateway/submission.h"

namespace lanekeeper::gateway {

// As in RBAC, on workerpools/jobs of group lanekeeper.dev in the pool's namespace.
enum class Verb {
  kCreate,  // Submit.
  kGet,     // Read jobs, lanes, dead letters.
  kUpdate,  // Cancel, replay, discard, pause, resume.
};
std::string_view NameOf(Verb verb);  // "create", "get", "update"

// Answers may come at once or later, on a thread of the authorizer; exactly once.
class Authorizer {
 public:
  virtual ~Authorizer() = default;
  // `token`: of "Authorization: Bearer …"; empty: there was none. kUnauthenticated, kForbidden,
  // kAuthUnavailable. With an empty namespace: whether the caller may do so in every namespace.
  virtual void Authorize(std::string_view token, Verb verb, std::string_view pool_namespace,
                         std::string_view pool, Then<Caller> then) = 0;
};

// Everybody may do everything, as "anonymous". For loopback.
std::unique_ptr<Authorizer> MakeOpenAuthorizer();

// A file of lines "<token> <name> [<namespace>…] [ro]": with namespaces, only in these; with the
// last word "ro", only Verb::kGet. '#' starts a comment. Read again when it changes; a file that
// cannot be read leaves what was known and is logged. Tokens are compared in constant time.
// kInvalid names the line.
Result<std::unique_ptr<Authorizer>> MakeTokenFileAuthorizer(std::string path);

// Keeps what `inner` answered: yes for 30 s, no for 5 s; never that it could not be asked. At most
// 10,000 answers; tokens are kept as SHA-256. Thread-safe.
std::unique_ptr<Authorizer> MakeCachingAuthorizer(std::unique_ptr<Authorizer> inner);

}  // namespace lanekeeper::gateway
