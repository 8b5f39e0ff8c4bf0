// What row rule slope must give over all pairs of two sets of points, and what a backend gave.
#pragma once

#include <cmath>
#include <vector>

#include "support/tiles.hpp"
#include "support/tolerance.hpp"

namespace flashring::test {

/// The power of candidate l: 2, 3, 4, 6, 8, 12, ...
inline Real power_of(int candidate) { return std::ldexp(candidate % 2 == 0 ? 2.0L : 3.0L, candidate / 2); }

/// Totals of S_l and L_l over all pairs, (2 candidates), and what the arithmetic explains.
///   A power n of a weight: n times the error of ln k, where an exponential (4u) and 11 products become
///   12 * 4u + 11u at most. The logarithm in L_l has the error of ln k itself. Then sums of 256 terms.
inline Bounded expected_totals(const PairTable &table, int candidates, double unit) {
  Bounded totals;
  totals.value.assign(2 * static_cast<std::size_t>(candidates), 0);
  totals.bound = totals.value;
  const Real ln_2 = std::log(2.0L);
  const Real sums = sum_error(256);
  for (std::size_t at = 0; at < table.log_weight.size(); ++at)
    for (int l = 0; l < candidates; ++l) {
      const Real n = power_of(l);
      const Real logarithm = -table.log_weight[at] / ln_2;
      const Real error = static_cast<Real>(table.error[at]);
      const Real power = std::exp(n * table.log_weight[at]);
      const Real relative = n * error + 59 + sums;
      const auto s = static_cast<std::size_t>(l);
      const std::size_t of_logarithms = s + static_cast<std::size_t>(candidates);
      totals.value[s] += power;
      totals.bound[s] += unit * relative * power;
      totals.value[of_logarithms] += power * logarithm;
      totals.bound[of_logarithms] += unit * power * (relative * logarithm + error / ln_2);
    }
  return totals;
}

/// Those of the states of one side, which has so many rows.
inline std::vector<double> totals_of(const TileArrays &arrays, std::size_t rows, int candidates) {
  const std::vector<double> out = arrays.finish();
  std::vector<double> totals(2 * static_cast<std::size_t>(candidates), 0.0);
  for (std::size_t w = 0; w < totals.size(); ++w)
    for (std::size_t i = 0; i < rows; ++i) totals[w] += out[w * rows + i];
  return totals;
}

}  // namespace flashring::test
