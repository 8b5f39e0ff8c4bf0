// How the registry opens backend amx.
#pragma once

#include <string>
#include <vector>

#include "flashring/tile.hpp"

namespace flashring::amx {

/// The table, or null where this machine cannot run it. `ceiling`: empty, which asks the system once for permission to
/// use the matrix unit; "emulated", which runs everywhere and is slow.
const Backend *open(const char *ceiling);
/// "" where the machine has the unit, and "emulated".
std::vector<std::string> ceilings();

}  // namespace flashring::amx
