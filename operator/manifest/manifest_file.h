// The text of a manifest, from a file or standard input.
#pragma once

#include <istream>
#include <string>

#include "worker-runtime/base/result.h"

namespace lanekeeper {

// "-" is `in`. kNotFound: it cannot be read; kInvalid: it is longer than any manifest, and was not
// read to its end.
Result<std::string> ReadManifestText(const std::string& file, std::istream& in);

}  // namespace lanekeeper
