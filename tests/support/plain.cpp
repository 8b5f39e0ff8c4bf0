#include "support/plain.hpp"

#include <algorithm>
#include <cmath>

namespace flashring::test {

ShortPoints short_points(const PointSet &points, const std::vector<TileInfo> &tiles) {
  ShortPoints result{points.features, {}, {}};
  const auto d = static_cast<std::size_t>(points.features);
  std::size_t first = 0;
  for (const TileInfo &tile : tiles) {
    const std::size_t end = first + static_cast<std::size_t>(tile.rows);
    Real largest = 0;
    Real longest = 0;
    for (std::size_t i = first; i < end; ++i) {
      Real norm = 0;
      for (std::size_t k = 0; k < d; ++k) {
        const Real x = points.row(i)[k];
        largest = std::max(largest, std::abs(x));
        norm += x * x;
      }
      longest = std::max(longest, std::sqrt(norm));
    }
    const Real unit = std::max(largest / 32766, longest / (46339 - std::sqrt(static_cast<Real>(d)) / 2));
    for (; first < end; ++first) {
      for (std::size_t k = 0; k < d; ++k)
        result.rows.push_back(unit > 0 ? static_cast<int>(std::lrint(points.row(first)[k] / unit)) : 0);
      result.unit.push_back(unit);
    }
  }
  return result;
}

Real plain_exp2(Real x) {
  constexpr int points = 4;
  const Real whole = std::nearbyint(x);
  const Real f = x - whole;
  Real node[points];
  Real value[points];  // becomes Newton's divided differences
  for (int n = 0; n < points; ++n) {
    node[n] = 0.5L * std::cos((2 * n + 1) * 3.14159265358979323846L / (2 * points));
    value[n] = std::exp2(node[n]);
  }
  for (int order = 1; order < points; ++order)
    for (int n = points - 1; n >= order; --n) value[n] = (value[n] - value[n - 1]) / (node[n] - node[n - order]);
  Real result = value[points - 1];
  for (int n = points - 2; n >= 0; --n) result = result * (f - node[n]) + value[n];
  return std::ldexp(result, static_cast<int>(whole));
}

std::vector<Real> plain_log_weights(const OraclePair &pair, const ShortPoints &own, const ShortPoints &visiting) {
  const auto d = static_cast<std::size_t>(own.features);
  std::vector<Real> weights;
  for (std::size_t i = 0; i < own.unit.size(); ++i)
    for (std::size_t j = 0; j < visiting.unit.size(); ++j) {
      Real q = 0;
      for (std::size_t k = 0; k < d; ++k) {
        const Real x = own.unit[i] * own.rows[i * d + k];
        const Real y = visiting.unit[j] * visiting.rows[j * d + k];
        q += pair.inner() ? x * y : (x - y) * (x - y);
      }
      weights.push_back(oracle_log_weight(pair, q));
    }
  return weights;
}

}  // namespace flashring::test
