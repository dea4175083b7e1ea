// Job traces as text. Pure: who reads the file is the caller.
#pragma once

#include <string_view>

#include "operator/simulate/trace.h"
#include "worker-runtime/base/result.h"

namespace lanekeeper::simulate {

enum class TraceFormat {
  // Header `arrival_seconds,service_seconds[,type]`, the columns in any order, others passed over.
  kPlain,
  // The Azure LLM inference traces: TIMESTAMP,ContextTokens,GeneratedTokens.
  kAzureLlm,
  // Alibaba's GenAI trace of 2026: gmt_create, exec_time_seconds; predict_type is the type.
  kAlibabaGenAi,
};

struct TraceReading {
  TraceFormat format = TraceFormat::kPlain;
  // > 0. The clock of the arrivals runs this much faster: the gaps between jobs are divided by it,
  // what each job takes stays as it is.
  double speed_up = 1;
  // kAzureLlm: what a request takes, of which the trace does not tell.
  double seconds_per_request = 0.2;
  double seconds_per_token = 0.03;  // Generated.
};

// The first job comes at zero, except in kPlain, where it comes when it says. Lines out of order
// are put in order. kInvalid names the line and what is wrong with it; so does an empty trace.
Result<Trace> ReadTrace(std::string_view text, const TraceReading& reading);

}  // namespace lanekeeper::simulate
