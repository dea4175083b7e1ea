// A handler in C++ for jobs that take long: typed payload, progress, checkpoint, and an end when it
// is told to stop. Draws nothing; a tile takes as long as the payload says.
//
//   lanekeeper-thumbnail-worker        (with the settings of a worker in its environment)
//   payload: {"image":"s3://photos/1.png","tiles":12,"tile_ms":500}
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "worker-runtime/handlers/json_payload.h"
#include "worker-runtime/runner/worker.h"

namespace {

using namespace lanekeeper;  // NOLINT: a main file.

struct Thumbnail {
  std::string image;
  int tiles = 0;
  int tile_ms = 0;
};
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Thumbnail, image, tiles, tile_ms)

void RenderTile(const Thumbnail& thumbnail) {
  std::this_thread::sleep_for(std::chrono::milliseconds(thumbnail.tile_ms));
}

Outcome Render(Job& job, const Thumbnail& thumbnail) {
  if (thumbnail.tiles < 1) return Rejected{"an image without tiles", "EmptyImage"};
  // Where the last run of this job got to, on whatever worker it was.
  int tile = std::atoi(job.checkpoint().c_str());
  for (; tile < thumbnail.tiles; ++tile) {
    if (job.StopRequested()) return Interrupted{};  // Costs nothing; the next run goes on here.
    RenderTile(thumbnail);
    job.Progress(static_cast<double>(tile + 1) / thumbnail.tiles, "tile " + std::to_string(tile));
    const Result<void> stored = job.Checkpoint(std::to_string(tile + 1));
    // Another worker has the job by now: whatever is written from here on is thrown away.
    if (!stored && stored.error().kind == ErrorKind::kForbidden) return Interrupted{};
  }
  return Done{thumbnail.image + ".thumbnail"};
}

}  // namespace

int main() {
  const Result<WorkerOptions> options = ReadWorkerOptions();
  if (!options) {
    std::fprintf(stderr, "lanekeeper-thumbnail-worker: %s\n", options.error().message.c_str());
    return 2;
  }
  Worker worker(*options);
  worker.Handle("thumbnail", JsonHandler<Thumbnail>(Render));
  return worker.Run();
}
