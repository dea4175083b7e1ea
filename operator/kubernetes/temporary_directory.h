// For tests: a directory that is gone afterwards.
#pragma once

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

namespace lanekeeper::kubernetes {

class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string path = (std::filesystem::temp_directory_path() / "lanekeeper-XXXXXX").string();
    path_ = mkdtemp(path.data());
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  std::string Write(const std::string& name, const std::string& contents) const {
    std::ofstream(path_ + "/" + name) << contents;
    return path_ + "/" + name;
  }
  // A shell script that may be run.
  std::string WriteProgram(const std::string& name, const std::string& script) const {
    std::string file = Write(name, "#!/bin/sh\n" + script);
    chmod(file.c_str(), 0700);
    return file;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace lanekeeper::kubernetes
