// From a message in our hands to a claimed job: read its record, decide, claim. The first half of
// what happens to a job; the second is the Settler.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "worker-runtime/base/clock.h"
#include "worker-runtime/job/handler_registry.h"
#include "worker-runtime/job/job_record.h"
#include "worker-runtime/job/settlement.h"
#include "worker-runtime/runner/job_source.h"
#include "worker-runtime/runner/record_store.h"
#include "worker-runtime/runner/running_job.h"

namespace lanekeeper::runner {

struct IntakeOptions {
  SettlementPolicy policy;
  std::string worker;
  std::string instance;  // Of this process.
  // How long a job waits when its record cannot be read or claimed; when another message with its
  // id is not finished; when its worker still has it, though the queue handed it out again.
  std::chrono::milliseconds away_delay{2000};
  std::chrono::milliseconds other_delay{5000};
  std::chrono::milliseconds held_delay{2000};
};

// A job that no handler sees, and its record when that changes.
struct Turned {
  Settlement settlement;
  std::optional<JobRecord> record;
};

// Any thread. Everything handed in outlives this; `records` is null for tracking None.
class Intake {
 public:
  Intake(IntakeOptions options, const HandlerRegistry& handlers, JobSource& source,
         RecordStore* records);

  // Null when nothing handles the job's type, or its head cannot be read.
  const Handler* HandlerOf(const RunningJob& job) const;

  // The claim of a job that was never delivered before: there is most likely no record yet, so it
  // is worth claiming without a look. Nothing: Admit has to look.
  std::optional<JobRecord> ClaimWithoutLook(const RunningJob& job, WallTime now) const;

  // Claims the job so that its handler can run (nothing returned), or says what becomes of it
  // instead. Waits for the store; a few seconds when it is away.
  // `tried`: a claim of this delivery whose answer is not known or was a refusal.
  std::optional<Turned> Admit(RunningJob& job, std::optional<JobRecord> tried) const;

 private:
  std::optional<Turned> AdmitWithRecord(RunningJob& job, std::optional<JobRecord> tried) const;
  bool HeldElsewhere(const RunningJob& job, const StoredRecord& stored) const;
  Result<Receipt> Decide(const RunningJob& job, const StoredRecord& stored) const;
  Turned NoHandler(const RunningJob& job, JobRecord record) const;

  const IntakeOptions options_;
  const HandlerRegistry& handlers_;
  JobSource& source_;
  RecordStore* const records_;
};

}  // namespace lanekeeper::runner
