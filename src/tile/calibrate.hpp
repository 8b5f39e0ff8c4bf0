// Calibrate: seconds that a backend takes for a pair of tiles, measured in milliseconds.
#pragma once

#include "flashring/tile.hpp"

namespace flashring {

/// Seconds of one pair of tiles served both ways, merging included, while `threads` threads do the same. The points are
/// random ones at the distance of the length scale; a pair function without a length scale gets one that fits them.
/// Not collective, but ranks that share a machine should call it together.
double seconds_per_tile_pair(const Backend &backend, TileShape shape, int threads);

/// Sets the first parameter as -beta median does.
void set_length_scale(PairFunction &pair, double median_squared_distance);

}  // namespace flashring
