#pragma once

namespace lanekeeper::kubernetes {

// Of failures in a row: the first, and then ever more rarely: 1, 2, 4, 8, …
inline bool IsWorthALine(int failures) { return failures > 0 && (failures & (failures - 1)) == 0; }

}  // namespace lanekeeper::kubernetes
