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

constexpr std::size_t own_rows = 45;
constexpr std::size_t visiting_rows = 40;

/// Two sets of points with their tiles, for one backend.
struct Sets {
  Sets(const Backend &backend, PointSet own_points, PointSet visiting_points)
      : own(std::move(own_points)),
        visiting(std::move(visiting_points)),
        own_tiles(cut(0, own.count(), std::min(backend.tile_rows, 37))),
        visiting_tiles(cut(1000, visiting.count(), std::min(backend.tile_rows, 33))) {}
  PointSet own, visiting;
  std::vector<TileInfo> own_tiles, visiting_tiles;
};

/// The largest relative error of a weight, and in units of what the backend states for it.
struct Measured {
  double error = 0;
  double of_stated = 0;
};

Measured measure(const Backend &backend, TileShape shape, const std::string &text, const Sets &sets, int columns) {
  shape.columns = columns;
  const double u = unit_roundoff(shape.precision);
  const OraclePair pair = oracle_pair(text);
  const PairTable stated =
      with_stated_errors(make_table(pair, sets.own, sets.visiting), pair, tile_norms(sets.own, sets.own_tiles),
                         tile_norms(sets.visiting, sets.visiting_tiles), backend.error(shape), u);
  const std::vector<double> weights =
      single_weights(backend, shape, sets.own, sets.own_tiles, sets.visiting, sets.visiting_tiles, columns);
  const Real smallest = shape.precision == Precision::fp64 ? DBL_MIN : FLT_MIN;
  Measured worst;
  for (std::size_t p = 0; p < weights.size(); ++p) {
    const Real exact = std::exp(stated.log_weight[p]);
    const Real error = std::abs(weights[p] - exact) / exact;
    EXPECT_TRUE(std::isfinite(weights[p])) << "weight " << p;
    if (exact < 4 * smallest) continue;  // may be 0
    worst.error = std::max(worst.error, static_cast<double>(error));
    worst.of_stated = std::max(worst.of_stated, static_cast<double>(error / (u * stated.error[p])));
  }
  return worst;
}

PointSet negative(PointSet points) {
  for (double &x : points.rows) x = -x;
  return points;
}

/// Points whose coordinates are all equal: what rounds one rounds them all the same way.
PointSet on_the_diagonal(std::size_t count, int d, std::uint64_t seed) {
  const std::vector<double> x = random_numbers(count, seed);
  PointSet points{d, {}};
  for (const double value : x) points.rows.insert(points.rows.end(), static_cast<std::size_t>(d), value);
  return points;
}

/// The largest of `measure` over random points, opposite ones (distances as long as norms allow), and points on the
/// diagonal.
double largest_of_stated(const Backend &backend, const TileShape &shape, const std::string &text, int columns) {
  const int d = shape.features;
  const PointSet random = random_points(own_rows, d, 1);
  const PointSet diagonal = on_the_diagonal(own_rows, d, 3);
  double worst = 0;
  for (const Sets &sets : {Sets(backend, random, random_points(visiting_rows, d, 2)),
                           Sets(backend, random, negative(random)), Sets(backend, diagonal, diagonal)})
    worst = std::max(worst, measure(backend, shape, text, sets, columns).of_stated);
  return worst;
}

class StatedErrors : public ::testing::TestWithParam<std::tuple<std::string, Precision>> {
 protected:
  const Backend &backend() const { return find_backend(std::get<0>(GetParam())); }
  Precision precision() const { return std::get<1>(GetParam()); }
  TileShape shape(const std::string &text, int d) const {
    return {parse_pair(text), RowKind::sum, 0, precision(), d, 1, {}};
  }
  /// Many features: one function of each kind, and no emulation.
  bool is_slow(const std::string &pair, int d) const {
    if (std::get<0>(GetParam()) == "amx:emulated") return d > 64;
    return d > 64 && pair != "gaussian" && pair != "inner_exp";
  }
};

// A bound that nothing comes near would say nothing, so some weight must be off by a 20th of it. Where all errors go
// one way about a third is met: halves instead of whole roundings in each step. A 20th leaves room for formulas whose
// own roundings are few. ref, whose inner products round least, meets a 40th, and computes in fp64 whatever the
// precision.
TEST_P(StatedErrors, HoldForEveryWeightAndAreMet) {
  const bool is_ref = std::get<0>(GetParam()) == "ref";
  const bool met = !is_ref || precision() == Precision::fp64;
  for (const std::string &pair : all_pair_names())
    for (const int d : {1, 3, 8, 9, 17, 64, 193, 513}) {
      if (is_slow(pair, d)) continue;
      const std::string text = spread_pair(pair, d);
      const double worst = largest_of_stated(backend(), shape(text, d), text, 64);
      EXPECT_LE(worst, 1) << text << " d=" << d;
      if (met) {
        EXPECT_GE(worst, is_ref ? 1.0 / 40 : 1.0 / 20) << text << " d=" << d;
      }
      if (std::getenv("FLASHRING_TEST_RATIOS") != nullptr)
        std::printf("error in units of the stated one %.3f  %s %s %s d=%d\n", worst, std::get<0>(GetParam()).c_str(),
                    to_string(precision()), text.c_str(), d);
    }
}

TEST_P(StatedErrors, HoldInTheKernelsOfOneColumn) {
  for (const int d : {3, 17, most_covariance_features})
    for (const std::string &pair : host_pair_names(d)) {
      if (d > 17 && pair != "local_mahalanobis") continue;
      const std::string text = spread_pair(pair, d);
      EXPECT_LE(largest_of_stated(backend(), shape(text, d), text, 1), 1) << text << " d=" << d;
    }
}

// The limits of 16 and 32 bits: zero, one point over and over, every coordinate at the same extreme with all signs, so
// that inner products of whole numbers come near 2^31, a single feature, and one point far from all others.
TEST_P(StatedErrors, HoldAtTheLimitsOfShortNumbers) {
  for (const char *pair : {"gaussian", "matern32", "inner_exp"})
    for (const int d : {1, 2, 9, 64, 513}) {
      if (is_slow(pair, d)) continue;
      const std::string text = spread_pair(pair, d);
      const auto count = static_cast<std::size_t>(d);
      const PointSet zeros{d, std::vector<double>(20 * count, 0.0)};
      const PointSet ones{d, std::vector<double>(20 * count, 1.0)};
      PointSet signs = random_points(own_rows, d, 4);
      for (double &x : signs.rows) x = x < 0 ? -1 : 1;
      PointSet far = random_points(own_rows, d, 5);
      for (std::size_t k = 0; k < count; ++k) far.rows[7 * count + k] *= 1000;
      const auto check = [&](const PointSet &own, const PointSet &visiting, const char *what) {
        SCOPED_TRACE(text + " d=" + std::to_string(d) + ": " + what);
        EXPECT_LE(measure(backend(), shape(text, d), text, {backend(), own, visiting}, 64).of_stated, 1);
      };
      check(zeros, zeros, "zeros");
      check(zeros, ones, "zeros and ones");
      check(ones, ones, "ones");
      check(ones, negative(ones), "ones and their negatives");
      check(signs, signs, "all signs");
      if (std::string(pair) != "inner_exp") check(far, random_points(own_rows, d, 6), "one point far away");
    }
}

std::string param_name(const ::testing::TestParamInfo<std::tuple<std::string, Precision>> &info) {
  return test_name(std::get<0>(info.param) + "_" + to_string(std::get<1>(info.param)));
}

INSTANTIATE_TEST_SUITE_P(Every, StatedErrors,
                         ::testing::Combine(::testing::ValuesIn(backends_to_test()),
                                            ::testing::Values(Precision::fp64, Precision::fp32, Precision::reduced)),
                         param_name);

class Reduced : public ::testing::TestWithParam<std::string> {
 protected:
  const Backend &backend() const { return find_backend(GetParam()); }
};

/// Largest relative error of the weights.
template <class T>
Real weight_error(const std::vector<T> &weights, const PairTable &table) {
  Real worst = 0;
  for (std::size_t p = 0; p < weights.size(); ++p) {
    const Real exact = std::exp(table.log_weight[p]);
    worst = std::max(worst, std::abs(weights[p] - exact) / exact);
  }
  return worst;
}

/// Errors of K x by row, relative to sums of magnitudes: the largest, and their root mean square.
struct SumErrors {
  Real largest = 0, typical = 0;
};
template <class T>
SumErrors errors_of_sums(const std::vector<T> &weights, const PairTable &table, const std::vector<double> &x) {
  SumErrors errors;
  for (std::size_t i = 0; i < table.own; ++i) {
    Real error = 0;
    Real size = 0;
    for (std::size_t j = 0; j < table.visiting; ++j) {
      const Real exact = std::exp(table.log_weight[table.at(i, j)]);
      error += (weights[table.at(i, j)] - exact) * x[j];
      size += exact * std::abs(x[j]);
    }
    errors.largest = std::max(errors.largest, std::abs(error) / size);
    errors.typical += error / size * error / size / static_cast<Real>(table.own);
  }
  errors.typical = std::sqrt(errors.typical);
  return errors;
}

// The plain computation takes the polynomial of degree 3 that comes to mind first. How far errors cancel in one sum is
// chance: sums of weights are compared by the root mean square over rows, single ones with exact exponentials and the
// largest error of a polynomial, 1e-4, on top. ref computes in fp64 and is left out.
TEST_P(Reduced, IsAtMostTwiceAsFarOffAsThePlainComputation) {
  if (GetParam() == "ref") GTEST_SKIP() << "ref computes in fp64";
  for (const char *pair : {"gaussian", "matern32", "inner_exp"})
    for (const int d : {3, 9, 16, 64, 193}) {
      const std::string text = spread_pair(pair, d);
      SCOPED_TRACE(text);
      const Sets sets(backend(), random_points(own_rows, d, 1), random_points(visiting_rows, d, 2));
      const TileShape shape{parse_pair(text), RowKind::sum, 0, Precision::reduced, d, 1, {}};
      const PairTable table = make_table(oracle_pair(text), sets.own, sets.visiting);
      const std::vector<double> weights =
          single_weights(backend(), shape, sets.own, sets.own_tiles, sets.visiting, sets.visiting_tiles, 64);
      const std::vector<Real> logarithms = plain_log_weights(oracle_pair(text), short_points(sets.own, sets.own_tiles),
                                                             short_points(sets.visiting, sets.visiting_tiles));
      std::vector<Real> plain;
      std::vector<Real> smooth;
      for (const Real l : logarithms) {
        plain.push_back(plain_exp2(l / std::log(Real(2))));
        smooth.push_back(std::exp(l));
      }
      const Real ours = weight_error(weights, table);
      const Real of_plain = weight_error(plain, table);
      EXPECT_LE(ours, 2 * of_plain);
      const std::vector<double> ones(visiting_rows, 1.0);
      const std::vector<double> signs = random_numbers(visiting_rows, 7);
      const Real sums = errors_of_sums(weights, table, ones).typical;
      const Real of_plain_sums = errors_of_sums(plain, table, ones).typical;
      EXPECT_LE(sums, 2 * of_plain_sums) << "sums of weights";
      for (const std::vector<double> &x : {ones, signs})
        EXPECT_LE(errors_of_sums(weights, table, x).largest, 2 * (errors_of_sums(smooth, table, x).largest + 1e-4L));
      if (std::getenv("FLASHRING_TEST_RATIOS") != nullptr)
        std::printf("%s %s d=%d: error %.2Le, of the plain computation %.2Le; of sums %.2Le, %.2Le\n",
                    GetParam().c_str(), text.c_str(), d, ours, of_plain, sums, of_plain_sums);
    }
}

// One outlier takes the digits of its own tile, not those of others.
TEST_P(Reduced, AnOutlierSpoilsItsTileAlone) {
  const int d = 17;
  PointSet points = random_points(own_rows, d, 8);  // tiles of 37 and 8 rows
  for (std::size_t k = 0; k < d; ++k) points.rows[5 * d + k] *= 1e4;
  const PointSet others{d, {points.rows.begin() + 37 * d, points.rows.end()}};
  const std::string text = spread_pair("matern52", d);
  const TileShape shape{parse_pair(text), RowKind::sum, 0, Precision::reduced, d, 1, {}};
  const Sets sets(backend(), points, others);
  const Sets alone(backend(), others, others);
  const std::vector<double> all =
      single_weights(backend(), shape, sets.own, sets.own_tiles, sets.visiting, sets.visiting_tiles, 8);
  const std::vector<double> few =
      single_weights(backend(), shape, alone.own, alone.own_tiles, alone.visiting, alone.visiting_tiles, 8);
  EXPECT_EQ(std::vector<double>(all.begin() + 37 * 8, all.end()), few);
}

// Both orders of two points have the same bits, and so have both sides and any number of columns.
TEST_P(Reduced, AndOtherPrecisionsAreSymmetric) {
  for (const Precision precision : {Precision::fp64, Precision::fp32, Precision::reduced})
    for (const int d : {1, 3, 9, 17})
      for (const std::string &pair : host_pair_names(d)) {
        SCOPED_TRACE(pair + " d=" + std::to_string(d) + " " + to_string(precision));
        const TileShape shape{parse_pair(spread_pair(pair, d)), RowKind::sum, 0, precision, d, 1, {}};
        const Sets sets(backend(), random_points(own_rows, d, 9), random_points(visiting_rows, d, 10));
        const auto forward = [&](int columns) {
          return single_weights(backend(), shape, sets.own, sets.own_tiles, sets.visiting, sets.visiting_tiles,
                                columns);
        };
        const std::vector<double> one = forward(1);
        const std::vector<double> back =
            single_weights(backend(), shape, sets.visiting, sets.visiting_tiles, sets.own, sets.own_tiles, 1);
        ASSERT_EQ(forward(64), one) << "columns";
        for (std::size_t i = 0; i < own_rows; ++i)
          for (std::size_t j = 0; j < visiting_rows; ++j)
            ASSERT_EQ(one[i * visiting_rows + j], back[j * own_rows + i]) << i << "," << j;
      }
}

// Differences of equal points are exactly 0, and so is the root of 0: no weight of a point with itself is short of 1.
// More features would sum norms, whose roundings leave a distance.
TEST_P(Reduced, AndOtherPrecisionsGiveCoincidentPointsExactlyOne) {
  for (const Precision precision : {Precision::fp64, Precision::fp32, Precision::reduced})
    for (const char *pair : {"gaussian", "laplacian", "matern32", "matern52", "rational_quadratic"})
      for (int d = 1; d <= 8; ++d) {
        SCOPED_TRACE(std::string(pair) + " d=" + std::to_string(d) + " " + to_string(precision));
        const TileShape shape{parse_pair(spread_pair(pair, d)), RowKind::sum, 0, precision, d, 1, {}};
        const PointSet points = random_points(own_rows, d, 11);
        const Sets sets(backend(), points, points);
        for (const int columns : {1, 64}) {
          const std::vector<double> k =
              single_weights(backend(), shape, sets.own, sets.own_tiles, sets.visiting, sets.visiting_tiles, columns);
          for (std::size_t i = 0; i < own_rows; ++i) ASSERT_EQ(k[i * own_rows + i], 1) << "row " << i;
        }
      }
}

std::string backend_name(const ::testing::TestParamInfo<std::string> &info) { return test_name(info.param); }

INSTANTIATE_TEST_SUITE_P(Every, Reduced, ::testing::ValuesIn(vector_backends()), backend_name);

}  // namespace
}  // namespace flashring::test
