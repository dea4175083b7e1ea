// The command `verify`: for lanekeeper-verify and for `lanekeeper verify`.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

#include "cli/verify/evidence.h"

namespace lanekeeper::verify {

struct VerifyOptions {
  std::string url = "nats://127.0.0.1:4222";
  std::string credentials;
  std::string accepted_file;
  Sources sources;
  bool all = false;
};

extern const char* const kVerifyDescription;
extern const char* const kVerifyExamples;

// `options` gets what is parsed and must outlive the parsing.
void AddVerifyFlags(CLI::App& app, VerifyOptions& options);

// Prints the verdict. Returns the exit status: 0 nothing is lost and no stale result won, 1
// something is, 2 it could not be found out.
int RunVerify(const VerifyOptions& options);

}  // namespace lanekeeper::verify
