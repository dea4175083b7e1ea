// LedgerEntry as JSON, the body of a message of the ledger. Pure.
//
//   {"v":1,"time":"2026-11-25T22:41:07.120Z","lane":{"namespace":"studio","pool":"media",
//    "lane":"short"},"policy":{…},"observation":{…,"estimate":{…}},"decided":{…},"applied":{…},
//    "observed_only":false,"sentence":"…","leader":"lanekeeper-operator-7f6…","epoch":12}
//
// `leader` and `epoch` are left out where one operator runs, and are not in entries of before there
// were several. Complete: what is read is what was written, to the last bit of a double, so that a
// decision can be made again. Durations are whole milliseconds. Optional fields that are empty are
// left out.
#pragma once

#include <string>
#include <string_view>

#include "operator/control/ledger.h"
#include "worker-runtime/base/result.h"

namespace lanekeeper {

std::string WriteLedgerEntry(const LedgerEntry& entry);

// Ignores fields it does not know. kInvalid, naming the field, for a missing or impossible one, a
// version that is newer than this program, or text over 64 KiB.
Result<LedgerEntry> ReadLedgerEntry(std::string_view text);

}  // namespace lanekeeper
