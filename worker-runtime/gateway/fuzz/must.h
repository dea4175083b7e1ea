// A claim about what was parsed; one that does not hold ends the fuzzer as a crash would.
#pragma once

#include <cstdio>
#include <cstdlib>

#define FUZZ_MUST(claim)                                                              \
  do {                                                                                \
    if (!(claim)) {                                                                   \
      std::fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #claim); \
      std::abort();                                                                   \
    }                                                                                 \
  } while (false)
