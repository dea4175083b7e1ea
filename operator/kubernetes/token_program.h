// For tests: a program that logs in.
#pragma once

#include <string>

#include "operator/kubernetes/exec_credential.h"
#include "operator/kubernetes/temporary_directory.h"

namespace lanekeeper::kubernetes {

// Its runs print the tokens t1, t2, …, and add a line to the file "runs" of `directory`, until
// there is a file "broken". `status`: what else it says, with a comma in front.
inline ExecLogin TokenProgram(const TemporaryDirectory& directory, const std::string& user,
                              const std::string& status = "") {
  return {.user = user,
          .api_version = "client.authentication.k8s.io/v1",
          .command = directory.WriteProgram(
              "login", "cd " + directory.path() +
                           "\n"
                           "[ -e broken ] && exit $(cat broken)\n"
                           "echo x >> runs\n"
                           "n=$(wc -l < runs)\n"
                           "echo '{\"apiVersion\":\"client.authentication.k8s.io/v1\","
                           "\"kind\":\"ExecCredential\",\"status\":{\"token\":\"t'$n'\"" +
                           status + "}}'\n"),
          .asking = Asking::kNever};
}

}  // namespace lanekeeper::kubernetes
