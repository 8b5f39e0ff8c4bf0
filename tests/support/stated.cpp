#include "support/stated.hpp"

#include <algorithm>
#include <cmath>

namespace flashring::test {
namespace {

/// ln k at a q that may be negative by its error.
Real log_weight_at(const OraclePair &pair, Real q) {
  if (pair.inner() || q >= 0) return oracle_log_weight(pair, q);
  const Real at_zero = oracle_log_weight(pair, 0);
  const Real slope = oracle_slope(pair, 0);
  return std::isinf(slope) ? at_zero : at_zero - slope * q;
}

}  // namespace

Real error_of_argument(const OraclePair &pair, Real q, Real e) {
  const Real exact = oracle_log_weight(pair, q);
  return std::max(std::abs(log_weight_at(pair, q - e) - exact), std::abs(log_weight_at(pair, q + e) - exact));
}

std::vector<Real> tile_norms(const PointSet &points, const std::vector<TileInfo> &tiles,
                             const std::vector<double> &mean) {
  const auto d = static_cast<std::size_t>(points.features);
  std::vector<Real> norms;
  for (const TileInfo &tile : tiles) {
    const std::size_t first = norms.size();
    Real largest = 0;
    for (std::size_t i = first; i < first + static_cast<std::size_t>(tile.rows); ++i) {
      Real norm = 0;
      for (std::size_t k = 0; k < d; ++k) {
        const Real x = static_cast<Real>(points.row(i)[k]) - (mean.empty() ? 0 : mean[k]);
        norm += x * x;
      }
      largest = std::max(largest, norm);
    }
    norms.insert(norms.end(), static_cast<std::size_t>(tile.rows), largest);
  }
  return norms;
}

PairTable with_stated_errors(PairTable table, const OraclePair &pair, const std::vector<Real> &own_norms,
                             const std::vector<Real> &visiting_norms, const TileError &stated, double unit) {
  for (std::size_t i = 0; i < table.own; ++i)
    for (std::size_t j = 0; j < table.visiting; ++j) {
      const std::size_t at = table.at(i, j);
      const Real e = stated.argument * (own_norms[i] + visiting_norms[j]) / table.divisor[at];
      const Real exponent = 4 * unit * oracle_exponent(pair, table.q[at]);
      table.error[at] =
          static_cast<double>(std::expm1(error_of_argument(pair, table.q[at], e) + stated.weight + exponent) / unit);
    }
  return table;
}

}  // namespace flashring::test
