// What a search for neighbours asks of tiles.
#pragma once

#include "flashring/tile.hpp"

namespace flashring {

/// A pair function whose argument is |x - y|^2 of features as they are, by differences in every backend: the laplacian
/// whose scale is 1.
PairFunction distance_pair();

TileShape neighbour_shape(Precision precision, int features, int k, bool exclude_self);

}  // namespace flashring
