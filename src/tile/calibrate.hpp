// Calibrate: seconds that a backend takes for a pair of tiles, measured in milliseconds.
#pragma once

#include "flashring/communicator.hpp"
#include "flashring/tile.hpp"

namespace flashring {

/// Seconds of one pair of tiles while `threads` threads do the same: served both ways, but one way by row rule
/// logsumexp. The points are random ones at the distance of the length scale; a pair function without a length scale
/// gets one that fits them. Not collective, but ranks that share a machine should call it together.
double seconds_per_tile_pair(const Backend &backend, TileShape shape, int threads);

/// Seconds of a pass that evaluates every pair of `tiles` tiles (of all ranks together) once, shared evenly by the
/// ranks. Collective; the slowest rank counts.
double seconds_per_pass(const Communicator &communicator, const Backend &backend, const TileShape &shape, int threads,
                        double tiles);

}  // namespace flashring
