// Operations and errors of a pair of points, for the table of the backend.
#pragma once

#include "flashring/tile.hpp"

namespace flashring::sm80 {

TileCost cost(const TileShape &shape, Sides sides);
TileError error(const TileShape &shape);

}  // namespace flashring::sm80
