// FeatureMap: distances on circles and by covariances against formulas, covariances of points, and sets whose spectrum
// is known once their coordinates are mapped.
#include "flashring/feature_map.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "support/apply.hpp"
#include "support/error_of.hpp"
#include "support/exact.hpp"
#include "support/scatter.hpp"
#include "support/world.hpp"

namespace flashring::test {
namespace {

constexpr double epsilon = std::numeric_limits<double>::epsilon();

std::vector<double> features_of(const FeatureMap &map, const std::vector<double> &coordinates) {
  std::vector<double> features(static_cast<std::size_t>(map.features()));
  map.apply(coordinates.data(), features.data());
  return features;
}

double squared_distance(const std::vector<double> &x, const std::vector<double> &y) {
  double sum = 0;
  for (std::size_t k = 0; k < x.size(); ++k) sum += (x[k] - y[k]) * (x[k] - y[k]);
  return sum;
}

FeatureMap circles(const std::vector<double> &periods, const std::vector<double> &radii) {
  FeatureMap map(static_cast<int>(periods.size()));
  map.set_circles(periods, radii);
  return map;
}

/// A map by that covariance, (d, d).
FeatureMap by_covariance(const std::vector<double> &covariance, int d) {
  FeatureMap map(d);
  map.set_factor(cholesky_factor(covariance, d));
  return map;
}

TEST(FeatureMap, WithoutStepsCoordinatesAreFeatures) {
  EXPECT_TRUE(FeatureMap(3).identity());
  EXPECT_EQ(features_of(FeatureMap(3), {1, -2, 3e300}), (std::vector<double>{1, -2, 3e300}));
}

/// Chord of an arc s of a circle of length L: L/pi sin(pi s/L). Features are of size L/(2 pi) and each off by a few
/// roundings of that: 8 at most.
TEST(FeatureMap, PeriodicDistancesAreChords) {
  const double length = 2.5;
  const FeatureMap map = circles({length}, {length / (2 * std::numbers::pi)});
  ASSERT_EQ(map.features(), 2);
  for (const double x : {-3.0, 0.1, 1.24, 1.26, 2.4})
    for (const double s : {1e-6, 0.01, 0.5, 1.25}) {
      const double chord = std::sqrt(squared_distance(features_of(map, {x}), features_of(map, {x + s})));
      EXPECT_NEAR(chord, length / std::numbers::pi * std::sin(std::numbers::pi * s / length), 8 * epsilon) << x << s;
    }
  EXPECT_EQ(features_of(map, {0.25}), features_of(map, {0.25 + 4000000 * length}));  // whole periods, exactly
}

TEST(FeatureMap, CoordinatesWithoutPeriodStay) {
  const FeatureMap map = circles({0, 360, 0}, {0, 1, 0});
  EXPECT_EQ(map.given(), 3);
  EXPECT_EQ(map.features(), 4);
  const std::vector<double> features = features_of(map, {7, 90, -1e9});
  EXPECT_EQ(features[0], 7);
  EXPECT_NEAR(features[1], 0, epsilon);
  EXPECT_EQ(features[2], 1);
  EXPECT_EQ(features[3], -1e9);
}

/// Eigenvalues of 6 + entries in (-1, 1) are in [1, 11] for d = 5. Elimination has a backward error of 3 d roundings of
/// C, by which a square is off by the condition, 11, times as much at most (Higham, Accuracy and Stability, 10.4).
TEST(FeatureMap, FactorGivesMahalanobisDistances) {
  constexpr int d = 5;
  const PointSet numbers = random_points(d + 2, d, 17);
  std::vector<double> covariance(d * d);
  for (std::size_t k = 0; k < d; ++k)
    for (std::size_t l = 0; l < d; ++l)
      covariance[k * d + l] = numbers.row(std::max(k, l))[std::min(k, l)] + (k == l ? 6 : 0);
  const FeatureMap map = by_covariance(covariance, d);
  const std::vector<double> x(numbers.row(d), numbers.row(d) + d);
  const std::vector<double> y(numbers.row(d + 1), numbers.row(d + 1) + d);
  std::vector<Real> system(covariance.begin(), covariance.end());  // solved by elimination, in long double
  std::vector<Real> z;
  for (std::size_t k = 0; k < d; ++k) z.push_back(static_cast<Real>(x[k]) - y[k]);
  const std::vector<Real> difference = z;
  for (std::size_t k = 0; k < d; ++k)
    for (std::size_t i = k + 1; i < d; ++i) {
      const Real factor = system[i * d + k] / system[k * d + k];
      for (std::size_t l = k; l < d; ++l) system[i * d + l] -= factor * system[k * d + l];
      z[i] -= factor * z[k];
    }
  Real expected = 0;
  for (std::size_t k = d; k-- > 0;) {
    for (std::size_t l = k + 1; l < d; ++l) z[k] -= system[k * d + l] * z[l];
    z[k] /= system[k * d + k];
    expected += difference[k] * z[k];
  }
  const double found = squared_distance(features_of(map, x), features_of(map, y));
  EXPECT_NEAR(found, static_cast<double>(expected), 11 * 2 * 3 * d * epsilon * found);
}

TEST(FeatureMap, NamesWhatIsNoCovariance) {
  const auto refusal = [](const std::vector<double> &c, int d) { return error_of([&] { cholesky_factor(c, d); }); };
  EXPECT_NE(refusal({1, 2, 3}, 2).find("3 numbers given for 2 features"), std::string::npos);
  EXPECT_NE(refusal({1, 0.5, 0.4, 1}, 2).find("entry (1, 0), counted from 0, is 0.4 and entry (0, 1) is 0.5"),
            std::string::npos);
  EXPECT_NE(refusal({1, NAN, NAN, 1}, 2).find("entry (1, 0) or its mirror image is not finite"), std::string::npos);
  EXPECT_NE(refusal({1, 2, 2, 1}, 2).find("not positive definite: pivot 1 (counted from 0) is -3"), std::string::npos);
  EXPECT_NE(refusal({-1, 0, 0, 1}, 2).find("pivot 0"), std::string::npos);
  EXPECT_NE(refusal({0, 0, 0, 1}, 2).find("pivot 0 (counted from 0) is 0"), std::string::npos);
  // (x, y, x + y): the last pivot is rounding alone.
  EXPECT_NE(refusal({0.1, 0, 0.1, 0, 0.3, 0.3, 0.1, 0.3, 0.1 + 0.3}, 3).find("pivot 2"), std::string::npos);
  EXPECT_EQ(refusal({1, 1 + 1e-9, 1, 4}, 2), "no error");  // as symmetric as a sum in single precision
}

TEST(FeatureMap, NamesBadCircles) {
  const auto refusal = [](const std::vector<double> &p) { return error_of([&] { circles(p, p); }); };
  EXPECT_NE(refusal({1, -2}).find("the period of coordinate 1 (counted from 0) is -2"), std::string::npos);
  EXPECT_NE(refusal({INFINITY}).find("the period of coordinate 0 (counted from 0) is inf"), std::string::npos);
  EXPECT_NE(error_of([] { circles({1}, {0}); }).find("the radius of coordinate 0"), std::string::npos);
  EXPECT_NE(error_of([] { FeatureMap(3).set_circles({1, 2}, {1, 2}); }).find("for 3 coordinates"), std::string::npos);
}

/// Sums over all rows in their order: on any number of ranks the bits of one. 40,000 rows are two parts.
TEST(FeatureMap, CovarianceDoesNotDependOnRanks) {
  const std::string set = "normal:n=40000,d=3,seed=3";
  const FeatureMap map = circles({0, 2, 1.5}, {0, 1, 0.7});
  const FeatureCovariance found = feature_covariance(world(), generate_points(set, world()), map);
  const std::unique_ptr<Communicator> self = make_self_communicator();
  EXPECT_EQ(found.matrix, feature_covariance(*self, generate_points(set, *self), map).matrix);
}

/// Entries against long double, and what is off by less than the stated error is a factor, so that features are white:
/// the covariance of U^-T y is U^-T C U^-1 = 1 up to the error of C, its condition (45) times, and as much again by the
/// second covariance.
TEST(FeatureMap, WhitePointsHaveUnitCovariance) {
  const PointSet circle = random_points(301, 2, 5);
  PointSet points{2, {}};
  for (std::size_t i = 0; i < circle.count(); ++i) {
    points.rows.push_back(1000 + 3 * circle.row(i)[0]);
    points.rows.push_back(circle.row(i)[0] + 0.5 * circle.row(i)[1]);
  }
  Real mean[2] = {0, 0};
  for (std::size_t at = 0; at < points.rows.size(); ++at) mean[at % 2] += points.rows[at] / 301.0L;
  for (const NamedPartition &to : partitions(301, world().size())) {
    SCOPED_TRACE(to.name);
    PointBlock block = local_block(points, to.partition, world().rank());
    const FeatureCovariance found = feature_covariance(world(), block, FeatureMap(2));
    for (std::size_t k = 0; k < 2; ++k)
      for (std::size_t l = 0; l < 2; ++l) {
        Real expected = 0;
        for (std::size_t i = 0; i < 301; ++i)
          expected += (points.row(i)[k] - mean[k]) * (points.row(i)[l] - mean[l]) / 301;
        const double size = std::sqrt(found.matrix[k * 3] * found.matrix[l * 3]);
        EXPECT_NEAR(found.matrix[k * 2 + l], static_cast<double>(expected), found.error * size);
      }
    FeatureMap map(2);
    map.set_factor(cholesky_factor(found.matrix, 2, found.error));
    block.map_features(map);
    const std::vector<double> white = feature_covariance(world(), block, FeatureMap(2)).matrix;
    for (std::size_t at = 0; at < 4; ++at) EXPECT_NEAR(white[at], at % 3 == 0 ? 1 : 0, 2 * 45 * found.error);
  }
}

TEST(FeatureMap, ConstantAndDependentFeaturesAreNotWhitened) {
  PointSet points{3, {}};
  for (int i = 0; i < 50; ++i)
    for (const double x : {0.1 * i, 0.1, 0.3 * i}) points.rows.push_back(x);
  const RowPartition partition = RowPartition::contiguous(50, world().size());
  const auto refusal = [&](const PointSet &set) {
    const FeatureCovariance found =
        feature_covariance(world(), local_block(set, partition, world().rank()), FeatureMap(set.features));
    return error_of([&] { cholesky_factor(found.matrix, set.features, found.error); });
  };
  EXPECT_NE(refusal(points).find("pivot 1 (counted from 0) is 0 where"), std::string::npos);
  PointSet dependent{2, {}};
  for (int i = 0; i < 50; ++i)
    for (const double x : {0.1 * i, 0.3 * i + 7}) dependent.rows.push_back(x);
  EXPECT_NE(refusal(dependent).find("not positive definite: pivot 1"), std::string::npos);
}

TEST(FeatureMap, PointsAreMappedOnceAndMove) {
  const FeatureMap map = circles({0, 2}, {0, 1});
  const PointSet points = random_points(23, 2, 9);
  for (const NamedPartition &to : partitions(23, world().size())) {
    SCOPED_TRACE(to.name);
    PointBlock block = local_block(points, RowPartition::contiguous(23, world().size()), world().rank());
    EXPECT_TRUE(block.feature_map().identity());
    EXPECT_EQ(block.feature_map().given(), 2);
    block.map_features(map);
    EXPECT_EQ(block.features(), 3);
    const PointBlock moved = redistribute(world(), block, to.partition);
    EXPECT_EQ(moved.feature_map().given(), 2);
    EXPECT_EQ(moved.feature_map().periods().size(), 2U);
    const PointSet all = gather_points(moved, world());
    for (std::size_t i = 0; i < 23; ++i)
      EXPECT_EQ(std::vector<double>(all.row(i), all.row(i) + 3),
                features_of(map, {points.row(i)[0], points.row(i)[1]}));
    EXPECT_NE(error_of([&] { block.map_features(map); }), "no error");
  }
  PointBlock other = local_block(random_points(5, 3, 1), RowPartition::contiguous(5, world().size()), world().rank());
  EXPECT_NE(
      error_of([&] { other.map_features(map); }).find("points have 3 features (d), and the feature map is one of 2"),
      std::string::npos);
}

TEST(FeatureMap, NamesRowsBeyondTheRangeOfNumbers) {
  if (world().rank() > 0) return;
  PointBlock block(RowPartition::contiguous(2, 1), 0, 1, {1, 1e300});
  EXPECT_NE(error_of([&] { block.map_features(by_covariance({1e-40}, 1)); }).find("takes row 1 beyond the range"),
            std::string::npos);
}

class KnownSpectrum : public ::testing::Test {
 protected:
  /// P psi = lambda psi for pairs of `set`, whose points `map` makes of `coordinates` up to `off` in squares of
  /// distances; weights are then off by beta times that, relatively, and entries of P by twice as much.
  static void check(const ExactSet &set, const std::string &beta, const std::vector<ExactPair> &pairs,
                    const PointSet &coordinates, const FeatureMap &map, Real off) {
    const RowPartition partition = RowPartition::contiguous(static_cast<std::int64_t>(set.rows()), world().size());
    PointBlock block = local_block(coordinates, partition, world().rank());
    block.map_features(map);
    KernelOperator op(world(), options_of({{"beta", beta}, {"form", "markov"}}), std::move(block));
    EXPECT_EQ(op.feature_map().given(), coordinates.features);
    const Real error = set.relative_error(true, 0x1p-53, 0.5) + 2 * set.beta * off;
    for (const bool again : {false, true}) {
      if (again) op.update_points(local_block(coordinates, partition, world().rank()).rows());  // as they were given
      for (const ExactPair &pair : pairs) {
        Bounded expected;
        for (const double entry : pair.vector) expected.value.push_back(pair.value * entry);
        expected.bound.assign(set.rows(), error + 2 * 0x1p-53L);
        EXPECT_EQ(outside(apply(op, pair.vector, 1), expected), "");
      }
    }
  }
  /// The unit circle, pulled to an ellipse by A = (3 0; 1 1/2).
  static PointSet ellipse(const ExactSet &circle) {
    PointSet points = gather_points(generate_points(circle.text, world()), world());
    for (std::size_t i = 0; i < points.count(); ++i) {
      double *x = points.rows.data() + 2 * i;
      x[1] = x[0] + 0.5 * x[1];
      x[0] *= 3;
    }
    return points;
  }
  static std::vector<ExactPair> circle_pairs(const ExactSet &circle) {
    return {torus_pair(circle, {1}, false), torus_pair(circle, {1}, true), torus_pair(circle, {5}, true)};
  }
};

/// Angles in degrees: features have 12 roundings of 1 each, squares of distances, at most 4q, then 136 q.
TEST_F(KnownSpectrum, TorsionAnglesOnAFlatTorus) {
  const ExactSet torus = exact_torus(20, 2, "1.5");
  PointSet angles{2, {}};
  for (int i = 0; i < 400; ++i)
    for (const int k : {i / 20, i % 20}) angles.rows.push_back(18 * k - 360 * (i % 3));  // whole turns do not count
  check(torus, "1.5",
        {torus_pair(torus, {0, 1}, false), torus_pair(torus, {3, 0}, true), torus_pair(torus, {2, 5}, false)}, angles,
        circles({360, 360}, {1, 1}), 136 * 2 * 0x1p-53L);
}

/// C = A A' is exact and so is U = A'. Features have 24 roundings each, by those of the points (6), the division by 1/2
/// and that of the first; squares of distances, at most 4, then 4 * 2 * 24.
TEST_F(KnownSpectrum, MahalanobisUndoesADistortion) {
  const ExactSet circle = exact_torus(64, 1, "3.5");
  const FeatureMap map = by_covariance({9, 3, 3, 1.25}, 2);
  EXPECT_EQ(std::vector<double>(map.factor().begin(), map.factor().end()), (std::vector<double>{3, 1, 0, 0.5}));
  check(circle, "3.5", circle_pairs(circle), ellipse(circle), map, 4 * 2 * 24 * 0x1p-53L);
}

/// The covariance of the ellipse is A A'/2: its white points lie on a circle of squared radius 2. Squares of distances
/// are off by the error of the covariance times its condition (45), and half of 8 is what beta counts.
TEST_F(KnownSpectrum, WhiteningUndoesADistortion) {
  const ExactSet circle = exact_torus(64, 1, "3.5");
  const PointSet points = ellipse(circle);
  const FeatureCovariance covariance = feature_covariance(
      world(), local_block(points, RowPartition::contiguous(64, world().size()), world().rank()), FeatureMap(2));
  FeatureMap map(2);
  map.set_factor(cholesky_factor(covariance.matrix, 2, covariance.error));
  check(circle, "1.75", circle_pairs(circle), points, map, 4 * 45 * covariance.error);
}

}  // namespace
}  // namespace flashring::test
