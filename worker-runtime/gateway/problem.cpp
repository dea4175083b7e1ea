#include "worker-runtime/gateway/problem.h"

#include <array>
#include <cstddef>

namespace lanekeeper::gateway {
namespace {

struct Words {
  std::string_view name;
  int status = 0;
  std::string_view title;
};

// In the order of ProblemType.
constexpr std::array<Words, 23> kWords{{
    {"invalid-request", 400, "The request is not valid"},
    {"unauthenticated", 401, "Who is asking is not known"},
    {"forbidden", 403, "The caller may not do this"},
    {"pool-not-found", 404, "There is no such pool"},
    {"lane-not-found", 404, "The pool has no such lane"},
    {"job-not-found", 404, "There is no such job"},
    {"dead-letter-not-found", 404, "There is no such dead letter"},
    {"worker-not-found", 404, "There is no such worker"},
    {"no-such-path", 404, "There is nothing at this path"},
    {"method-not-allowed", 405, "This path does not know the method"},
    {"not-acceptable", 406, "No form of the answer is acceptable"},
    {"job-finished", 409, "The job has finished"},
    {"job-not-tracked", 409, "The lane keeps no records of its jobs"},
    {"payload-too-large", 413, "The payload is too large"},
    {"unsupported-media-type", 415, "The content type is not supported"},
    {"key-reused", 422, "The Idempotency-Key stands for another request"},
    {"lane-full", 429, "The lane is full"},
    {"wait-too-long", 429, "The job would wait too long"},
    {"caller-quota", 429, "The caller has too many jobs waiting"},
    {"too-many-requests", 429, "The gateway has too much in hand"},
    {"queue-unavailable", 503, "The queue cannot be reached"},
    {"auth-unavailable", 503, "Callers cannot be checked"},
    {"worker-silent", 504, "The worker has not confirmed it"},
}};
static_assert(kWords.size() == static_cast<std::size_t>(ProblemType::kWorkerSilent) + 1);

const Words& WordsOf(ProblemType type) { return kWords.at(static_cast<std::size_t>(type)); }

}  // namespace

std::string_view NameOf(ProblemType type) { return WordsOf(type).name; }
int StatusOf(ProblemType type) { return WordsOf(type).status; }
std::string_view TitleOf(ProblemType type) { return WordsOf(type).title; }

}  // namespace lanekeeper::gateway
