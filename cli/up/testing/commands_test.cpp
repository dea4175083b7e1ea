#include "cli/up/testing/commands_test.h"

#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "operator/local/state_folder.h"

namespace lanekeeper::up {

void CommandsTest::StartWithGateway(const std::string& lane) {
  WriteManifest(lane);
  Start();
  ASSERT_TRUE(Await([&] { return ReadWholeFile(folder_ + "/state/gateway").has_value(); }));
}

Ran CommandsTest::Run(const std::string& arguments, const std::string& input,
                      const std::string& program) {
  std::ofstream(folder_ + "/in") << input;
  const std::string folder = std::filesystem::read_symlink("/proc/self/exe").parent_path().string();
  const int status =
      std::system(("LANEKEEPER_GATEWAY= timeout -k 10s " + std::string(kCommandDeadline) + " " +
                   folder + "/" + program + " " + arguments + " <" + folder_ + "/in >" + folder_ +
                   "/out 2>" + folder_ + "/err")
                      .c_str());
  Ran ran{static_cast<cli::Exit>(WEXITSTATUS(status)), ReadWholeFile(folder_ + "/out").value_or(""),
          ReadWholeFile(folder_ + "/err").value_or("")};
  EXPECT_TRUE(WIFEXITED(status) && ran.exit <= cli::Exit::kNotEnded)
      << arguments << " ended with " << status << "\nout: " << ran.out << "\nerr: " << ran.err;
  return ran;
}

Ran CommandsTest::Local(const std::string& arguments, const std::string& input) {
  return Run(arguments + " --timeout 5m --local --state-folder " + folder_ + "/state", input);
}

}  // namespace lanekeeper::up
