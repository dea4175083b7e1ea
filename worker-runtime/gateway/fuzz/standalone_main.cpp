// Runs a fuzz target without libFuzzer: on the seeds of a folder, and on mutations of them that are
// the same each time, so that every build with sanitizers covers the target.
//
//   <target> FOLDER MUTATIONS
//   <target> FILE             one input again, e.g. one that libFuzzer found
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

constexpr std::size_t kInputBytesMax = 8192;
constexpr std::array<std::string_view, 28> kTokens{"\"",
                                                   "\\u0000",
                                                   "\\ud800",
                                                   "{",
                                                   "}",
                                                   "[",
                                                   "]",
                                                   ":",
                                                   ",",
                                                   "null",
                                                   "-1",
                                                   "1e999",
                                                   "\r\n",
                                                   "\n\n",
                                                   "\r\n\r\n",
                                                   "%00",
                                                   "%zz",
                                                   "\xff\xfe",
                                                   "\xef\xbb\xbf",
                                                   ": ",
                                                   "wait=60",
                                                   "chunked",
                                                   "Content-Length: 99999999999999999999\r\n",
                                                   "9223372036854775808",
                                                   "2026-11-26T00:00:00Z",
                                                   "90s",
                                                   "\"type\":",
                                                   "*."};

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void Run(const std::string& input) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(input.data()), input.size());
}

class Mutator {
 public:
  explicit Mutator(const std::vector<std::string>& seeds) : seeds_(seeds) {}

  std::string Next() {
    std::string input = seeds_[Below(seeds_.size())];
    const std::size_t changes = 1 + Below(6);
    for (std::size_t n = 0; n < changes; ++n) Change(input);
    input.resize(std::min(input.size(), kInputBytesMax));
    return input;
  }

 private:
  // The same on every machine, unlike std::uniform_int_distribution.
  std::size_t Below(std::size_t bound) { return bound == 0 ? 0 : random_() % bound; }

  void Change(std::string& input) {
    const std::size_t at = Below(input.size() + 1);
    const std::size_t count = std::min<std::size_t>(1 + Below(16), input.size() - at);
    switch (Below(6)) {
      case 0:
        if (at < input.size()) input[at] = static_cast<char>(random_());
        break;
      case 1:
        if (at < input.size()) input[at] = static_cast<char>(input[at] ^ (1 << Below(8)));
        break;
      case 2:
        input.erase(at, count);
        break;
      case 3:
        input.insert(at, input.substr(at, count));
        break;
      case 4:
        input.insert(at, kTokens[Below(kTokens.size())]);
        break;
      default: {
        const std::string& other = seeds_[Below(seeds_.size())];
        input = input.substr(0, at) + other.substr(Below(other.size() + 1));
      }
    }
  }

  const std::vector<std::string>& seeds_;
  std::mt19937_64 random_{20261126};
};

int RunAll(const std::filesystem::path& path, int mutations) {
  if (!std::filesystem::is_directory(path)) {
    Run(ReadFile(path));
    return 0;
  }
  std::vector<std::filesystem::path> files;
  for (const auto& entry : std::filesystem::directory_iterator(path)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::vector<std::string> seeds;
  for (const auto& file : files) seeds.push_back(ReadFile(file));
  if (seeds.empty()) {
    std::fprintf(stderr, "no seeds in %s\n", path.c_str());
    return 2;
  }
  for (const std::string& seed : seeds) Run(seed);
  Mutator mutator(seeds);
  std::string input;
  for (int n = 0; n < mutations; ++n) {
    input = mutator.Next();
    Run(input);
  }
  std::printf("%zu seeds, %d mutations\n", seeds.size(), mutations);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: %s FOLDER MUTATIONS | FILE\n", argv[0]);
    return 2;
  }
  try {
    return RunAll(argv[1], argc > 2 ? std::atoi(argv[2]) : 0);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "threw: %s\n", error.what());
    return 1;
  }
}
