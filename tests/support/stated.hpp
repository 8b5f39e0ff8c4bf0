// Tolerances from what a backend states about itself (Backend::error), where that is no rounding but far above it. Like
// every tolerance they are held against the oracle, never against a backend.
#pragma once

#include <vector>

#include "flashring/tile.hpp"
#include "support/oracle.hpp"

namespace flashring::test {

/// |error of ln k| for |error of q| <= e, e in units of q: every formula is monotone in q, so it is largest at one of
/// the two ends. Below q = 0, where roundings may lead, formulas take 0 or go on straight.
Real error_of_argument(const OraclePair &pair, Real q, Real e);

/// For every row the largest squared norm of its tile (with the mean off): the unit of 16-bit features, and so their
/// error, belongs to the tile.
std::vector<Real> tile_norms(const PointSet &points, const std::vector<TileInfo> &tiles,
                             const std::vector<double> &mean = {});

/// `table` with errors as the backend states them: e = argument (|x|^2 + |y|^2) with the norms above, then `weight` and
/// the rounding of the exponent. Relative errors of k in units of `unit`, the roundoff of columns and sums.
PairTable with_stated_errors(PairTable table, const OraclePair &pair, const std::vector<Real> &own_norms,
                             const std::vector<Real> &visiting_norms, const TileError &stated, double unit);

}  // namespace flashring::test
