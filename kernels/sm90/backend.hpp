// How the registry opens backend sm90.
#pragma once

#include <string>
#include <vector>

#include "flashring/tile.hpp"

namespace flashring::sm90 {

/// The table, or null where no GPU of compute capability 9.0 can be used. `ceiling`: empty.
const Backend *open(const char *ceiling);
/// "", or nothing where there is no such GPU.
std::vector<std::string> ceilings();

}  // namespace flashring::sm90
