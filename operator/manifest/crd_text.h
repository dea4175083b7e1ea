// crds/workerpools.yaml, as it was when the program was built.
#pragma once

namespace lanekeeper {

extern const char* const kCrdText;

}  // namespace lanekeeper
