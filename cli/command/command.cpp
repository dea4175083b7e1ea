#include "cli/command/command.h"

#include <cstdio>

#include "cli/command/output.h"

namespace lanekeeper::cli {

Exit ExitOf(const Error& error) {
  switch (error.kind) {
    case ErrorKind::kInvalid:
      return Exit::kUsage;
    case ErrorKind::kNotFound:
      return Exit::kNotFound;
    case ErrorKind::kForbidden:
      return Exit::kForbidden;
    case ErrorKind::kRetryable:
      break;
  }
  return Exit::kUnreachable;
}

void Complain(const std::string& message) {
  std::fprintf(stderr, "lanekeeper: %s\n", Printable(message).c_str());
}

Exit Refuse(const Error& error) {
  Complain(error.message);
  return ExitOf(error);
}

Exit EndParse(const CLI::App& app, const CLI::ParseError& error) {
  if (error.get_exit_code() == 0) {
    (void)app.exit(error);
    return Exit::kOk;
  }
  const CLI::App* command = &app;
  std::string name = app.get_name();
  while (!command->get_subcommands().empty()) {
    command = command->get_subcommands().back();
    name += " " + command->get_name();
  }
  std::string what = error.what();
  if (command == &app && dynamic_cast<const CLI::RequiredError*>(&error) != nullptr) {
    const std::vector<std::string> words = app.remaining();
    what = words.empty() ? "a command is missing" : "there is no command '" + words.front() + "'";
  }
  Complain(what + "; see `" + name + " --help`");
  return Exit::kUsage;
}

}  // namespace lanekeeper::cli
