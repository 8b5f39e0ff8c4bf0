// How the registry opens backend sm80.
#pragma once

#include <string>
#include <vector>

#include "flashring/tile.hpp"

namespace flashring::sm80 {

/// The table, or null where no GPU of compute capability 8.0 or later can be used. `ceiling`: empty, or
/// "plain" for the plain form of all kernels.
const Backend *open(const char *ceiling);
/// "" and "plain", or nothing where there is no such GPU.
std::vector<std::string> ceilings();

}  // namespace flashring::sm80
