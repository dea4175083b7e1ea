// The command `validate`: manifests, offline, by the rules of the API server and of the operator.
#pragma once

#include <istream>
#include <ostream>
#include <string>
#include <vector>

#include "cli/command/command.h"
#include "cli/command/output.h"

namespace lanekeeper::validate {

struct ValidateOptions {
  std::vector<std::string> files;  // "-" is standard input.
  cli::Format format = cli::Format::kTable;
};

// A line for each good pool and for each field that is wrong; as JSON or YAML an item for each
// pool. kOk: all are good; kFailed: one is not; kUsage: there is none to check, or a file cannot be
// read.
cli::Exit Validate(const ValidateOptions& options, std::istream& in, std::ostream& out);

void AddValidateCommands(cli::Commands commands);

}  // namespace lanekeeper::validate
