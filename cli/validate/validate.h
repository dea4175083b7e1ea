// The command `validate`: a manifest, offline, by the rules of the operator.
#pragma once

#include <istream>
#include <ostream>
#include <string>

namespace lanekeeper::validate {

inline constexpr const char* kDescription =
    "Checks the WorkerPools of a manifest, offline, by the operator's rules. Exit status: 0 all "
    "are\n"
    "good, 1 one is not, 2 there is none to check";

// `file`: "-" is `in`. One line a pool, every field that is wrong named. Returns the exit status.
int Validate(const std::string& file, std::istream& in, std::ostream& out);

}  // namespace lanekeeper::validate
