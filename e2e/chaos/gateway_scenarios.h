// What is done to gateways, and what has to hold afterwards. Each has a nats-server, a worker and
// two gateways of its own and leaves nothing behind but logs. Both return the bars, whether or not
// they hold, and throw std::runtime_error when they could not be carried out.
#pragma once

#include <filesystem>
#include <vector>

#include "e2e/bench/figures.h"

namespace lanekeeper::e2e {

// Under load from `clients` threads, a gateway, both of them or the nats-server is killed with
// SIGKILL at random moments, `kills` times in all.
std::vector<Bar> KillGateways(int kills, int clients, const std::filesystem::path& folder);

// In each round 64 clients hand in one job under one key at the same moment, to both gateways,
// while one of these is killed at a random moment.
std::vector<Bar> RaceForOneKey(int rounds, const std::filesystem::path& folder);

}  // namespace lanekeeper::e2e
