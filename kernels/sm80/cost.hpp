// Operations and errors of a pair of points, for the table of the backend.
#pragma once

#include "sm80/path.hpp"

namespace flashring::sm80 {

TileCost cost(Variant variant, const TileShape &shape, Sides sides);
TileError error(Variant variant, const TileShape &shape);

}  // namespace flashring::sm80
