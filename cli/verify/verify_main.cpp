// lanekeeper-verify: what became of every job that a lane accepted.
#include <CLI/CLI.hpp>

#include "cli/verify/verify_command.h"

int main(int argc, char** argv) {
  using namespace lanekeeper::verify;
  CLI::App app(kVerifyDescription, "lanekeeper-verify");
  app.footer(kVerifyExamples);
  app.set_version_flag("--version", LANEKEEPER_VERSION);
  VerifyOptions options;
  AddVerifyFlags(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return RunVerify(options);
}
