// Commands about a `lanekeeper up` as people run them, for tests: the program itself, by a shell.
#pragma once

#include <string>

#include "cli/command/command.h"
#include "cli/up/testing/up_test.h"

namespace lanekeeper::up {

// Longer than every --timeout of these tests. As timeout(1) takes it.
inline constexpr const char* kCommandDeadline = "360s";

struct Ran {
  cli::Exit exit = cli::Exit::kOk;
  std::string out;
  std::string err;
};

class CommandsTest : public UpTest {
 protected:
  // `lane`: as in WriteManifest. Returns when commands find the gateway.
  void StartWithGateway(const std::string& lane);

  // `arguments` as a shell takes them. One that does not end by itself, with a status of its own,
  // is a failure with what it printed.
  Ran Run(const std::string& arguments, const std::string& input = "",
          const std::string& program = "lanekeeper");
  // About this `up`.
  Ran Local(const std::string& arguments, const std::string& input = "");
};

}  // namespace lanekeeper::up
