#include "operator/kubernetes/base64.h"

#include "worker-runtime/base/text.h"

namespace lanekeeper::kubernetes {

std::optional<std::string> DecodeBase64Lines(std::string_view text) {
  std::string line(text);
  std::erase_if(line, [](char c) { return c == '\n' || c == '\r' || c == ' '; });
  line.erase(line.find_last_not_of('=') + 1);
  if (line.find('=') != std::string::npos) return std::nullopt;  // Padding, and more behind it.
  return DecodeBase64(line);
}

}  // namespace lanekeeper::kubernetes
