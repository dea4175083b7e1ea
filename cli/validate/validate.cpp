#include "cli/validate/validate.h"

#include <fstream>
#include <optional>
#include <sstream>

#include "operator/manifest/manifest.h"

namespace lanekeeper::validate {
namespace {

std::optional<std::string> ReadAll(std::istream& in) {
  // A folder is opened like a file, and fails here.
  std::ostringstream text;
  if (in.peek() != std::istream::traits_type::eof()) text << in.rdbuf();
  if (in.bad() || text.fail()) return std::nullopt;
  return text.str();
}

}  // namespace

int Validate(const std::string& file, std::istream& in, std::ostream& out) {
  std::ifstream stream;
  if (file != "-") stream.open(file, std::ios::binary);
  const std::optional<std::string> text =
      file != "-" && !stream ? std::nullopt : ReadAll(file == "-" ? in : stream);
  if (!text) {
    out << file << ": cannot be read\n";
    return 2;
  }
  const Result<Manifest> manifest = ReadManifest(*text);
  if (!manifest) {
    out << file << ": " << manifest.error().message << '\n';
    return 2;
  }
  int status = 0;
  for (const ManifestPool& read : manifest->pools) {
    out << ToString(read.key) << ": ";
    if (read.pool) {
      const std::size_t lanes = read.pool->lanes.size();
      out << "good, " << lanes << (lanes == 1 ? " lane" : " lanes") << '\n';
    } else {
      out << read.pool.error().message << '\n';
      status = 1;
    }
  }
  return status;
}

}  // namespace lanekeeper::validate
