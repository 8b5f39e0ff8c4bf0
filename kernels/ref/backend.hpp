// How the registry opens backend ref.
#pragma once

#include <string>
#include <vector>

#include "flashring/tile.hpp"
#include "threshold_kernels.hpp"

namespace flashring::ref {

/// The table, or null where this machine cannot run it. `ceiling`: empty, or an instruction set out of ceilings().
const Backend *open(const char *ceiling);
/// What can be asked for on this machine: "", which is the best, and lower instruction sets.
std::vector<std::string> ceilings();
/// The kernels of rows of scores; null where this machine cannot run them.
const ThresholdBackend *open_threshold(const char *ceiling);

}  // namespace flashring::ref
