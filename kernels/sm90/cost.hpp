// Errors of a pair of points, for the table of the backend. Operations are sm80's: the tensor units differ in how they
// are fed.
#pragma once

#include "flashring/tile.hpp"

namespace flashring::sm90 {

TileError error(const TileShape &shape);

}  // namespace flashring::sm90
