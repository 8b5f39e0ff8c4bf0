// Backend::error against measured errors of single weights, the plain computation in 16-bit numbers, and points at the
// limits of 16 and 32 bits. FLASHRING_TEST_RATIOS=1 prints measured errors in units of what is stated.
#include <gtest/gtest.h>

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstdio>

#include "flashring/options.hpp"
#include "support/pair_text.hpp"
#include "support/plain.hpp"
#include "support/scatter.hpp"
#include "support/stated.hpp"
#include "support/tiles.hpp"
#include "support/tolerance.hpp"

namespace flashring::test {
namespace {

constexpr std::size_t own_rows = 83;
constexpr std::size_t visiting_rows = 64;

/// Two sets of points with their tiles, for one backend.
struct Sets {
  Sets(const Backend &backend, PointSet own_points, PointSet visiting_points)
      : own(std::move(own_points)),
        visiting(std::move(visiting_points)),
        own_tiles(cut(0, own.count(), std::min(backend.tile_rows, 70))),
        visiting_tiles(cut(1000, visiting.count(), std::min(backend.tile_rows, 61))) {}
  PointSet own, visiting;
  std::vector<TileInfo> own_tiles, visiting_tiles;
};

/// The largest relative error of a weight in units of what the backend states for it; `size`: that of the error itself.
double measured(const Backend &backend, const TileShape &shape, const std::string &text, const Sets &sets, int columns,
                double *size = nullptr) {
  const OraclePair pair = oracle_pair(text);
  const PairTable table = make_table(pair, sets.own, sets.visiting);
  const std::vector<Real> own_norms = tile_norms(sets.own, sets.own_tiles);
  const std::vector<Real> visiting_norms = tile_norms(sets.visiting, sets.visiting_tiles);
  const double u = unit_roundoff(shape.precision);
  const PairTable stated = with_stated_errors(table, pair, own_norms, visiting_norms, backend.error(shape), u);
  const std::vector<double> weights =
      single_weights(backend, shape, sets.own, sets.own_tiles, sets.visiting, sets.visiting_tiles, columns);
  const Real smallest = shape.precision == Precision::fp64 ? DBL_MIN : FLT_MIN;
  Real worst = 0;
  for (std::size_t p = 0; p < weights.size(); ++p) {
    const Real exact = std::exp(table.log_weight[p]);
    const Real error = std::abs(weights[p] - exact);
    if (!std::isfinite(weights[p])) return std::numeric_limits<double>::infinity();
    if (exact < 4 * smallest) continue;  // may be 0
    worst = std::max(worst, error / exact / (u * stated.error[p]));
    if (size != nullptr) *size = std::max(*size, static_cast<double>(error / exact));
  }
  return static_cast<double>(worst);
}

TEST(Explore, All) {
  for (const std::string &name : backends_to_test()) {
    const Backend &backend = find_backend(name);
    for (const Precision precision : {Precision::fp64, Precision::fp32, Precision::reduced})
      for (const std::string &pair : all_pair_names())
        for (const int d : {1, 2, 3, 8, 9, 17, 64, 193, 513}) {
          if (name == "amx:emulated" && d > 64) continue;
          const std::string text = spread_pair(pair, d);
          const TileShape shape{parse_pair(text), RowKind::sum, 0, precision, d, 1, {}};
          const PointSet own = random_points(own_rows, d, 1);
          PointSet opposite = own;
          for (double &x : opposite.rows) x *= -1;
          PointSet same = own;
          for (std::size_t i = 0; i < own_rows; ++i)
            for (int k = 0; k < d; ++k) same.rows[i * d + k] = own.rows[i * d];
          double s = 0;
          const double a = measured(backend, shape, text, {backend, own, random_points(visiting_rows, d, 2)}, 64, &s);
          const double b = measured(backend, shape, text, {backend, own, opposite}, 64);
          const double c = measured(backend, shape, text, {backend, same, same}, 64);
          std::printf("%s %s %s d=%d: random %.3f opposite %.3f equal coordinates %.3f   (error %.2e)\n", name.c_str(), to_string(precision), pair.c_str(), d, a, b, c, s);
        }
  }
}

}  // namespace
}  // namespace flashring::test
