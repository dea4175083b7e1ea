// ReadLedger: pages of direct gets, of which the last messages are kept.
#include <charconv>
#include <deque>
#include <string>
#include <utility>

#include "operator/jetstream/jetstream_ledger.h"
#include "operator/jetstream/ledger_json.h"
#include "worker-runtime/job/names.h"

namespace lanekeeper {
namespace {

using std::chrono::milliseconds;

constexpr int kPageMessages = 256;
// Twice what a lane may have, and room for pages the server cut short.
constexpr int kPagesMax = static_cast<int>(kLedgerEntriesPerLaneMax) / kPageMessages * 4;
constexpr milliseconds kMessageTimeout{5000};
constexpr int kNoMessage = 404;
constexpr int kEndOfPage = 204;

struct Stored {
  std::uint64_t sequence = 0;
  std::string payload;
};

struct Page {
  std::vector<Stored> messages;
  bool last = false;
};

std::uint64_t NumberIn(const nats::Message& message, std::string_view header) {
  const std::string_view text = message.Header(header).value_or("");
  std::uint64_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

Result<Page> ReadPage(nats::Connection& connection, const std::string& subject,
                      std::uint64_t from_sequence) {
  auto inbox = connection.Subscribe(connection.NewInbox());
  if (!inbox) return tl::unexpected(std::move(inbox).error());
  const auto asked = connection.PublishRequest(
      "$JS.API.DIRECT.GET." + std::string(kLedgerStream), (*inbox)->subject(),
      "{\"seq\":" + std::to_string(from_sequence) + ",\"next_by_subj\":\"" + subject +
          "\",\"batch\":" + std::to_string(kPageMessages) + "}");
  if (!asked) return tl::unexpected(asked.error());
  Page page;
  while (auto message = (*inbox)->Next(kMessageTimeout)) {
    if (message->status == kNoMessage || message->status == kEndOfPage) {
      page.last = message->status == kNoMessage || NumberIn(*message, "Nats-Num-Pending") == 0;
      return page;
    }
    if (message->status != 0) {
      return Fail(ErrorKind::kRetryable,
                  std::to_string(message->status) + " " + message->status_text);
    }
    const std::uint64_t sequence = NumberIn(*message, "Nats-Sequence");
    page.messages.push_back({sequence, std::move(message->payload)});
  }
  return Fail(ErrorKind::kRetryable, "no answer");
}

LedgerPage Decode(const std::deque<Stored>& messages) {
  LedgerPage decoded;
  for (const Stored& message : messages) {
    auto entry = ReadLedgerEntry(message.payload);
    if (entry) {
      decoded.entries.push_back(*std::move(entry));
    } else {
      decoded.skipped.push_back(
          Wrap(std::move(entry).error(),
               std::string(kLedgerStream) + " sequence " + std::to_string(message.sequence))
              .value());
    }
  }
  return decoded;
}

}  // namespace

Result<LedgerPage> ReadLedger(const nats::JetStream& jetstream, const LaneKey& key,
                              std::size_t last_n) {
  const std::string what = "reading the ledger of " + ToString(key);
  // A direct get from a stream that is not there would get no answer at all.
  const auto stream = jetstream.StreamInfo(kLedgerStream);
  if (!stream) return nats::Wrap(stream.error(), what);
  const std::string subject = LedgerSubject(key);
  std::deque<Stored> kept;
  std::uint64_t from_sequence = 1;
  for (int n = 0; n < kPagesMax; ++n) {
    auto page = ReadPage(jetstream.connection(), subject, from_sequence);
    if (!page) return Wrap(std::move(page).error(), what);
    for (Stored& message : page->messages) {
      from_sequence = message.sequence + 1;
      kept.push_back(std::move(message));
      if (kept.size() > last_n) kept.pop_front();
    }
    if (page->last || page->messages.empty()) break;
  }
  return Decode(kept);
}

}  // namespace lanekeeper
