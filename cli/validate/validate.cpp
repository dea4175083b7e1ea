#include "cli/validate/validate.h"

#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>

#include "operator/manifest/manifest.h"
#include "operator/manifest/manifest_file.h"

namespace lanekeeper::validate {
namespace {

using cli::Exit;
using cli::Printable;
using nlohmann::json;

json ItemOf(const std::string& file, const ManifestPool& read) {
  json problems = json::array();
  for (const FieldProblem& one : read.problems) {
    problems.push_back({{"field", one.field}, {"problem", one.problem}});
  }
  json item = {{"file", file},
               {"pool", ToString(read.key)},
               {"good", read.problems.empty()},
               {"problems", std::move(problems)}};
  if (read.pool) item["lanes"] = read.pool->lanes.size();
  return item;
}

void PrintPool(std::ostream& out, const std::string& prefix, const ManifestPool& read) {
  const std::string name = Printable(ToString(read.key));
  if (read.problems.empty()) {
    const std::size_t lanes = read.pool->lanes.size();
    out << prefix << name << ": good, " << lanes << (lanes == 1 ? " lane" : " lanes") << '\n';
  }
  for (const FieldProblem& one : read.problems) {
    out << prefix << name << ": " << Printable(one.field) << ": " << Printable(one.problem) << '\n';
  }
}

// What has been seen over all files.
struct Seen {
  json items = json::array();
  std::size_t pools = 0;
  bool refused = false;
  bool unreadable = false;
};

Result<Manifest> Read(const std::string& file, std::istream& in) {
  const Result<std::string> text = ReadManifestText(file, in);
  if (!text) return tl::unexpected<Error>(text.error());
  Result<Manifest> manifest = ReadManifest(*text);
  if (!manifest) return Wrap(std::move(manifest).error(), file);
  return manifest;
}

}  // namespace

Exit Validate(const ValidateOptions& options, std::istream& in, std::ostream& out) {
  const bool text = options.format == cli::Format::kTable || options.format == cli::Format::kWide;
  Seen seen;
  for (const std::string& file : options.files) {
    const Result<Manifest> manifest = Read(file, in);
    if (!manifest) {
      // Among others a file without a pool is no mistake: `validate *.yaml`.
      seen.unreadable |= manifest.error().kind == ErrorKind::kInvalid ||
                         manifest.error().message.ends_with("cannot be read");
      seen.items.push_back({{"file", file}, {"good", false}, {"error", manifest.error().message}});
      if (text) out << Printable(manifest.error().message) << '\n';
      continue;
    }
    for (const ManifestPool& read : manifest->pools) {
      ++seen.pools;
      seen.refused |= !read.problems.empty();
      if (text) {
        PrintPool(out, options.files.size() > 1 ? Printable(file) + ": " : "", read);
      } else {
        seen.items.push_back(ItemOf(file, read));
      }
    }
  }
  if (!text) cli::PrintItems(out, options.format, seen.items, {}, "");
  if (seen.unreadable || seen.pools == 0) return Exit::kUsage;
  return seen.refused ? Exit::kFailed : Exit::kOk;
}

void AddValidateCommands(cli::Commands commands) {
  const auto options = std::make_shared<ValidateOptions>();
  CLI::App* validate =
      commands.app.add_subcommand("validate",
                                  "Checks the WorkerPools of manifests, offline, by the API "
                                  "server's rules.\nExit status: 0 all "
                                  "are good, 1 one is not, 2 there is none to check");
  validate->footer(
      "Examples:\n"
      "  lanekeeper validate pool.yaml\n"
      "  lanekeeper validate -o json deploy/*.yaml\n"
      "  helm template my-chart | lanekeeper validate -");
  validate->add_option("FILE", options->files, "YAML files; - is standard input")->required();
  cli::AddOutputFlag(*validate, options->format);
  validate->callback([options, &run = commands.run] {
    run = [options] { return Validate(*options, std::cin, std::cout); };
  });
}

}  // namespace lanekeeper::validate
