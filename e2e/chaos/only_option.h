// `--only a,b` of the chaos programs.
#pragma once

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace lanekeeper::e2e {

// Where it is made it stays: `app` writes into it, and outlives it.
class OnlyOption {
 public:
  // For the names of `parts`, which the help calls `what`.
  template <typename Parts>
  OnlyOption(CLI::App& app, const Parts& parts, const std::string& what) {
    std::vector<std::string> names;
    for (const auto& part : parts) names.emplace_back(part.name);
    app.add_option("--only", only_, "these " + what + ", with commas between")
        ->delimiter(',')
        ->check(CLI::IsMember(names));
  }
  OnlyOption(const OnlyOption&) = delete;
  OnlyOption& operator=(const OnlyOption&) = delete;

  // Without the option: all.
  bool Takes(std::string_view name) const {
    return only_.empty() || std::find(only_.begin(), only_.end(), name) != only_.end();
  }

 private:
  std::vector<std::string> only_;
};

}  // namespace lanekeeper::e2e
