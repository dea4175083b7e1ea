#include "operator/manifest/manifest_file.h"

#include <fstream>

#include "operator/manifest/yaml_json.h"

namespace lanekeeper {

Result<std::string> ReadManifestText(const std::string& file, std::istream& in) {
  std::ifstream stream;
  if (file != "-") stream.open(file, std::ios::binary);
  std::istream& from = file == "-" ? in : stream;
  std::string text(kManifestBytesMax + 1, '\0');
  // A folder is opened like a file, and fails here.
  if (from) from.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (from.bad() || (file != "-" && !stream.is_open())) {
    return Fail(ErrorKind::kNotFound, file + ": cannot be read");
  }
  text.resize(static_cast<std::size_t>(from.gcount()));
  if (text.size() <= kManifestBytesMax) return text;
  return Fail(ErrorKind::kInvalid, file + ": longer than " + std::to_string(kManifestBytesMax) +
                                       " bytes: the API server takes no such request");
}

}  // namespace lanekeeper
