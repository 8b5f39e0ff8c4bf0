// The plain computation in 16-bit numbers, written from its description alone: features as whole numbers of a unit,
// sums exact, 2^x by a polynomial of degree 3. What precision `reduced` of backend simd is compared with.
#pragma once

#include <vector>

#include "flashring/tile.hpp"
#include "support/oracle.hpp"

namespace flashring::test {

/// Features in whole numbers of a unit of their tile: as small as 16 bits for a feature (32766) and 32 bits for an
/// inner product (46339^2 < 2^31; rounding lengthens a point by sqrt(d)/2 units at most) allow.
struct ShortPoints {
  int features = 1;
  std::vector<int> rows;   // (count, features)
  std::vector<Real> unit;  // (count)
};
ShortPoints short_points(const PointSet &points, const std::vector<TileInfo> &tiles);

/// 2^x by the polynomial of degree 3 through 2^f at the Chebyshev points of [-1/2, 1/2]: relative error 1.0e-4.
Real plain_exp2(Real x);

/// ln K, (own, visiting).
std::vector<Real> plain_log_weights(const OraclePair &pair, const ShortPoints &own, const ShortPoints &visiting);

}  // namespace flashring::test
