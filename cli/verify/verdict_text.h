// A verdict for people, and in one line for scripts. Pure.
#pragma once

#include <cstddef>
#include <string>

#include "cli/verify/verify.h"

namespace lanekeeper::verify {

// A table with a line a number, and under each the ids it is about: at most `ids_max` of each.
std::string VerdictTable(const Verdict& verdict, std::size_t ids_max);

// {"accepted":3,"done":2,"dead":1,"moved":0,"cancelled":0,"queued":0,"lost":0,"duplicates":0,
//  "unexplained":0,"stale":0,"contradictory":0,"unaccepted":0,"dead_by_reason":{"rejected":1},"lost_ids":[],
//  "holds":true} without a line end. `lost_ids` are at most `ids_max`.
std::string VerdictJson(const Verdict& verdict, std::size_t ids_max);

}  // namespace lanekeeper::verify
