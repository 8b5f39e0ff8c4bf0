// Which pairs of tiles can hold a score near the largest one of a row, before any score is computed.
#pragma once

#include <span>

#include "flashring/communicator.hpp"
#include "flashring/ring.hpp"
#include "flashring/tile_block.hpp"

namespace flashring {

/// A bit is 0 where no row of the own tile sees a score in the visiting one that is near its largest, as where g is
/// -infinity for the whole tile. Scores x_ij = ln k_ij + g_j, g the pass scalar of `sources`; near: s_i x_ij > s_i
/// max_j x_ij - width, `s` > 0 of the local rows of `own`. Certain for the scores as the backend rounds them. No steps
/// for pair functions other than inner_exp, for precision reduced and for devices. Collective.
TileBits bound_scores(const Communicator &communicator, const TileShape &shape, TileBlock &own, TileBlock &sources,
                      std::span<const double> s, double width, int threads);

}  // namespace flashring
