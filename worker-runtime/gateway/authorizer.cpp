#include "worker-runtime/gateway/authorizer.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <list>
#include <mutex>
#include <optional>
#include <set>
#include <sstream>
#include <system_error>
#include <unordered_map>
#include <utility>

#include "worker-runtime/base/log.h"
#include "worker-runtime/base/time.h"
#include "worker-runtime/gateway/sha256.h"
#include "worker-runtime/job/names.h"

namespace lanekeeper::gateway {
namespace {

constexpr std::size_t kTokenBytesMin = 8;
constexpr std::size_t kTokenBytesMax = 4096;
constexpr std::size_t kTokensMax = 10'000;
constexpr std::size_t kAnswersMax = 10'000;
constexpr std::chrono::seconds kYesKept{30};
constexpr std::chrono::seconds kNoKept{5};
// How often a request looks whether the token file has changed.
constexpr std::chrono::seconds kFileLook{1};

Problem Unauthenticated(std::string_view token) {
  return {ProblemType::kUnauthenticated,
          token.empty() ? "send a token as \"Authorization: Bearer <token>\""
                        : "the token is not valid here",
          std::nullopt};
}

Problem Forbidden(const Caller& caller, Verb verb, std::string_view pool_namespace) {
  return {ProblemType::kForbidden,
          caller + " may not " + std::string(NameOf(verb)) + " workerpools/jobs in " +
              (pool_namespace.empty() ? std::string("every namespace")
                                      : "namespace " + std::string(pool_namespace)),
          std::nullopt};
}

class OpenAuthorizer final : public Authorizer {
 public:
  void Authorize(std::string_view, Verb, std::string_view, std::string_view,
                 Then<Caller> then) override {
    then(Caller("anonymous"));
  }
};

struct TokenEntry {
  std::string digest;  // Of the token.
  Caller name;
  std::set<std::string, std::less<>> namespaces;  // Empty: all.
  bool read_only = false;
};
using TokenList = std::vector<TokenEntry>;

Result<TokenEntry> ReadTokenLine(const std::string& line, const std::string& where) {
  std::istringstream words(line);
  std::string token;
  TokenEntry entry;
  words >> token >> entry.name;
  if (entry.name.empty()) {
    return Fail(ErrorKind::kInvalid, where + ": a token and a name are needed");
  }
  if (token.size() < kTokenBytesMin || token.size() > kTokenBytesMax) {
    return Fail(ErrorKind::kInvalid, where + ": the token must have 8 to 4096 characters");
  }
  if (entry.name.size() > kCallerBytesMax) {
    return Fail(ErrorKind::kInvalid, where + ": the name has more than 253 characters");
  }
  entry.digest = Sha256Hex(token);
  for (std::string word; words >> word;) {
    if (entry.read_only) {
      return Fail(ErrorKind::kInvalid, where + ": \"ro\" must be the last word");
    }
    if (word == "ro") {
      entry.read_only = true;
    } else if (CheckLaneKey({word, "p", "l"})) {
      entry.namespaces.insert(word);
    } else {
      return Fail(ErrorKind::kInvalid, where + ": \"" + word + "\" is not a namespace");
    }
  }
  return entry;
}

// A file that ends its last line in the middle of a word is being written: rename a new one over
// the old one. Nothing here can tell.
Result<TokenList> ReadTokenFile(const std::string& path) {
  std::ifstream file(path);
  if (!file) return Fail(ErrorKind::kInvalid, "token file " + path + " cannot be read");
  TokenList tokens;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    line = line.substr(0, line.find('#'));
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    if (tokens.size() >= kTokensMax) {
      return Fail(ErrorKind::kInvalid, "token file " + path + " has more than 10000 tokens");
    }
    Result<TokenEntry> entry = ReadTokenLine(line, path + ":" + std::to_string(number));
    if (!entry) return tl::unexpected<Error>(std::move(entry).error());
    const bool twice = std::any_of(tokens.begin(), tokens.end(), [&](const TokenEntry& other) {
      return other.digest == entry->digest;
    });
    if (twice) {
      return Fail(ErrorKind::kInvalid,
                  path + ":" + std::to_string(number) + ": the token stands on an earlier line");
    }
    tokens.push_back(*std::move(entry));
  }
  if (file.bad()) return Fail(ErrorKind::kInvalid, "token file " + path + " cannot be read");
  return tokens;
}

// What tells one version of the file from the next.
struct FileStamp {
  std::filesystem::file_time_type written_at{};
  std::uintmax_t bytes = 0;
  bool operator==(const FileStamp&) const = default;
};
FileStamp StampOf(const std::string& path) {
  std::error_code error;
  FileStamp stamp;
  stamp.written_at = std::filesystem::last_write_time(path, error);
  if (error) return {};
  stamp.bytes = std::filesystem::file_size(path, error);
  return error ? FileStamp{} : stamp;
}

class TokenFileAuthorizer final : public Authorizer {
 public:
  TokenFileAuthorizer(std::string path, FileStamp stamp, TokenList tokens)
      : path_(std::move(path)),
        stamp_(stamp),
        tokens_(std::make_shared<const TokenList>(std::move(tokens))) {}

  void Authorize(std::string_view token, Verb verb, std::string_view pool_namespace,
                 std::string_view, Then<Caller> then) override {
    if (token.empty()) return then(tl::unexpected(Unauthenticated(token)));
    const std::shared_ptr<const TokenList> tokens = Current();
    const std::string digest = Sha256Hex(token);
    const TokenEntry* found = nullptr;
    // All of them, each in constant time: how long it takes says nothing about a token.
    for (const TokenEntry& entry : *tokens) {
      if (CRYPTO_memcmp(entry.digest.data(), digest.data(), digest.size()) == 0) found = &entry;
    }
    if (found == nullptr) return then(tl::unexpected(Unauthenticated(token)));
    const bool in_namespace =
        found->namespaces.empty() || found->namespaces.contains(pool_namespace);
    if (!in_namespace || (found->read_only && verb != Verb::kGet)) {
      return then(tl::unexpected(Forbidden(found->name, verb, pool_namespace)));
    }
    then(found->name);
  }

 private:
  std::shared_ptr<const TokenList> Current() {
    const std::lock_guard lock(mutex_);
    const MonotonicTime now = std::chrono::steady_clock::now();
    if (now < look_at_) return tokens_;
    look_at_ = now + kFileLook;
    const FileStamp stamp = StampOf(path_);
    if (stamp == stamp_) return tokens_;
    stamp_ = stamp;
    Result<TokenList> read = ReadTokenFile(path_);
    if (read) {
      tokens_ = std::make_shared<const TokenList>(*std::move(read));
      log::Info("authorizer", "tokens_read", {{"file", path_}, {"tokens", tokens_->size()}});
    } else {
      log::Error("authorizer", "tokens_kept",
                 {{"error", read.error().message}, {"tokens", tokens_->size()}});
    }
    return tokens_;
  }

  const std::string path_;
  std::mutex mutex_;
  MonotonicTime look_at_{};
  FileStamp stamp_;
  std::shared_ptr<const TokenList> tokens_;
};

// Answers by what was asked, the oldest go first. Also holds who waits for an answer that is being
// asked for, so that a thousand requests that come together ask once.
class CachingAuthorizer final : public Authorizer {
 public:
  explicit CachingAuthorizer(std::unique_ptr<Authorizer> inner)
      : state_(std::make_shared<State>()), inner_(std::move(inner)) {}

  void Authorize(std::string_view token, Verb verb, std::string_view pool_namespace,
                 std::string_view pool, Then<Caller> then) override {
    // '\n' is in none of the parts that follow the digest.
    std::string question = Sha256Hex(token);
    question.append("\n").append(NameOf(verb)).append("\n").append(pool_namespace);
    question.append("\n").append(pool);
    if (std::optional<Answer<Caller>> known = state_->KnownOrWait(question, then)) {
      return then(*std::move(known));
    }
    if (!then) return;  // Others have asked already.
    inner_->Authorize(token, verb, pool_namespace, pool,
                      [state = state_, question](Answer<Caller> answer) {
                        state->Answered(question, std::move(answer));
                      });
  }

 private:
  struct Kept {
    Answer<Caller> answer;
    MonotonicTime until{};
    std::list<std::string>::iterator age;
  };
  class State {
   public:
    // The answer when it is known. Otherwise `then` is kept; it is left in place for the first one
    // only, who has to ask.
    std::optional<Answer<Caller>> KnownOrWait(const std::string& question, Then<Caller>& then) {
      const std::lock_guard lock(mutex_);
      if (const auto found = kept_.find(question); found != kept_.end()) {
        if (std::chrono::steady_clock::now() < found->second.until) return found->second.answer;
        Forget(found);
      }
      std::vector<Then<Caller>>& waiting = waiting_[question];
      if (waiting.empty()) {
        waiting.push_back(then);
      } else {
        waiting.push_back(std::exchange(then, nullptr));
      }
      return std::nullopt;
    }

    void Answered(const std::string& question, Answer<Caller> answer) {
      std::vector<Then<Caller>> waiting;
      {
        const std::lock_guard lock(mutex_);
        if (const auto found = waiting_.find(question); found != waiting_.end()) {
          waiting = std::move(found->second);
          waiting_.erase(found);
        }
        if (answer || answer.error().type != ProblemType::kAuthUnavailable) Keep(question, answer);
      }
      for (Then<Caller>& then : waiting) then(answer);
    }

   private:
    void Keep(const std::string& question, const Answer<Caller>& answer) {
      if (const auto found = kept_.find(question); found != kept_.end()) Forget(found);
      if (kept_.size() >= kAnswersMax) Forget(kept_.find(ages_.front()));
      ages_.push_back(question);
      const MonotonicTime until = std::chrono::steady_clock::now() + (answer ? kYesKept : kNoKept);
      kept_.emplace(question, Kept{answer, until, std::prev(ages_.end())});
    }
    void Forget(std::unordered_map<std::string, Kept>::iterator kept) {
      ages_.erase(kept->second.age);
      kept_.erase(kept);
    }

    std::mutex mutex_;
    std::unordered_map<std::string, Kept> kept_;
    std::list<std::string> ages_;  // The oldest first.
    std::unordered_map<std::string, std::vector<Then<Caller>>> waiting_;
  };

  const std::shared_ptr<State> state_;
  const std::unique_ptr<Authorizer> inner_;
};

}  // namespace

std::string_view NameOf(Verb verb) {
  switch (verb) {
    case Verb::kCreate:
      return "create";
    case Verb::kGet:
      return "get";
    case Verb::kUpdate:
      return "update";
  }
  return "";
}

std::unique_ptr<Authorizer> MakeOpenAuthorizer() { return std::make_unique<OpenAuthorizer>(); }

Result<std::unique_ptr<Authorizer>> MakeTokenFileAuthorizer(std::string path) {
  // First the stamp: a change in between is read again.
  const FileStamp stamp = StampOf(path);
  Result<TokenList> tokens = ReadTokenFile(path);
  if (!tokens) return tl::unexpected<Error>(std::move(tokens).error());
  return std::make_unique<TokenFileAuthorizer>(std::move(path), stamp, *std::move(tokens));
}

std::unique_ptr<Authorizer> MakeCachingAuthorizer(std::unique_ptr<Authorizer> inner) {
  return std::make_unique<CachingAuthorizer>(std::move(inner));
}

}  // namespace lanekeeper::gateway
