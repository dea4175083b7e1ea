// The command `convert`: KEDA ScaledObjects on JetStream consumers, as WorkerPools.
#pragma once

#include <istream>
#include <ostream>
#include <string>
#include <vector>

#include "cli/command/command.h"

namespace lanekeeper::convert {

struct ConvertFlags {
  std::vector<std::string> files;  // "-" is standard input.
  std::string pool;
};

// The manifest on `out`, what it does not carry over on `err`, a line "# …" each. kUsage: something
// cannot be converted; then nothing is on `out`.
cli::Exit RunConvert(const ConvertFlags& flags, std::istream& in, std::ostream& out,
                     std::ostream& err);

void AddConvertCommands(cli::Commands commands);

}  // namespace lanekeeper::convert
