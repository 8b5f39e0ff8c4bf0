// PointBlock, generated sets, mean and median bandwidth: formulas, and the same answer for any number of ranks.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <numbers>

#include "flashring/points.hpp"
#include "support/error_of.hpp"
#include "support/scatter.hpp"
#include "support/world.hpp"

namespace flashring::test {
namespace {

constexpr double two_pi = 2 * std::numbers::pi;

PointSet generated(const std::string &text) { return gather_points(generate_points(text, world()), world()); }

/// Digit `k` of `row` in base n, counted from the slowest of q digits.
std::int64_t digit(std::int64_t row, std::int64_t n, int q, int k) {
  for (int step = q - 1; step > k; --step) row /= n;
  return row % n;
}

TEST(Points, CircleIsARegularPolygon) {
  const std::int64_t n = 37;
  const PointSet points = generated("circle:n=37");
  ASSERT_EQ(points.features, 2);
  ASSERT_EQ(points.count(), 37U);
  for (std::int64_t i = 0; i < n; ++i) {
    const double angle = two_pi * static_cast<double>(i) / static_cast<double>(n);
    EXPECT_NEAR(points.row(static_cast<std::size_t>(i))[0], std::cos(angle), 4e-16);
    EXPECT_NEAR(points.row(static_cast<std::size_t>(i))[1], std::sin(angle), 4e-16);
  }
}

TEST(Points, TorusIsAProductOfCirclesTheLastFastest) {
  const PointSet points = generated("torus:n=5,q=3");
  ASSERT_EQ(points.features, 6);
  ASSERT_EQ(points.count(), 125U);
  for (std::size_t i = 0; i < 125; ++i)
    for (int c = 0; c < 3; ++c) {
      const double angle = two_pi * static_cast<double>(digit(static_cast<std::int64_t>(i), 5, 3, c)) / 5;
      EXPECT_NEAR(points.row(i)[2 * c], std::cos(angle), 4e-16);
      EXPECT_NEAR(points.row(i)[2 * c + 1], std::sin(angle), 4e-16);
    }
}

TEST(Points, HypercubeFeaturesAreBitsOfTheRow) {
  const PointSet points = generated("hypercube:d=6");
  ASSERT_EQ(points.features, 6);
  ASSERT_EQ(points.count(), 64U);
  for (std::size_t i = 0; i < 64; ++i)
    for (std::size_t k = 0; k < 6; ++k) EXPECT_EQ(points.row(i)[k], static_cast<double>((i >> k) & 1U));
}

/// t of (t cos t, y, t sin t), up to 4.5 pi: with 4 rounding errors in the angle, 4.5 pi of them in each number.
double angle_on_the_roll(const double *x) {
  const double t = std::sqrt(x[0] * x[0] + x[2] * x[2]);
  EXPECT_NEAR(x[0], t * std::cos(t), 1e-12);
  EXPECT_NEAR(x[2], t * std::sin(t), 1e-12);
  return t;
}

TEST(Points, SwissRollIsAGridOfCellsInArcLengthAndHeight) {
  const std::size_t n = 12;
  const std::size_t m = 4;
  const PointSet points = generated("swiss_roll:n=12,m=4");
  ASSERT_EQ(points.features, 3);
  ASSERT_EQ(points.count(), n * m);
  const auto arc = [](double t) { return 0.5 * (t * std::sqrt(1 + t * t) + std::asinh(t)); };
  const double begin = arc(1.5 * std::numbers::pi);
  const double length = arc(4.5 * std::numbers::pi) - begin;
  EXPECT_NEAR(length, 89.3733, 1e-4);
  for (std::size_t i = 0; i < n * m; ++i) {
    const double *x = points.row(i);
    const double t = angle_on_the_roll(x);
    // Cell centres: the discrete reflecting boundary lies half a cell beyond the outermost points.
    EXPECT_NEAR(arc(t) - begin, length * (static_cast<double>(i / m) + 0.5) / n, 1e-9);
    EXPECT_NEAR(x[1], 21 * (static_cast<double>(i % m) + 0.5) / m, 1e-12);
  }
}

/// Largest distance of the sorted sample from the uniform law on (0,1) (Kolmogorov, Smirnov), times the root of its
/// size: above 2 with a probability of 7e-4.
double distance_from_uniform(std::vector<double> sample) {
  std::sort(sample.begin(), sample.end());
  const auto n = static_cast<double>(sample.size());
  double largest = 0;
  for (std::size_t i = 0; i < sample.size(); ++i) {
    const auto below = static_cast<double>(i);
    largest = std::max({largest, sample[i] - below / n, (below + 1) / n - sample[i]});
  }
  return largest * std::sqrt(n);
}

/// `place` of a point is two numbers, each of which should be uniform on (0,1).
void expect_uniform(const std::string &set, int features,
                    const std::function<std::array<double, 2>(const double *)> &place) {
  const PointSet points = generated(set);
  ASSERT_EQ(points.features, features);
  ASSERT_EQ(points.count(), 4000U);
  std::array<std::vector<double>, 2> samples;
  for (std::size_t i = 0; i < points.count(); ++i) {
    const std::array<double, 2> numbers = place(points.row(i));
    for (std::size_t k = 0; k < 2; ++k) samples[k].push_back(numbers[k]);
  }
  for (const std::vector<double> &sample : samples) EXPECT_LT(distance_from_uniform(sample), 2);
}

TEST(Points, RandomSwissRollIsUniformInAngleAndHeight) {
  expect_uniform("random_swiss_roll:n=4000,seed=3", 3, [](const double *x) {
    return std::array{(angle_on_the_roll(x) / std::numbers::pi - 1.5) / 3, x[1] / 21};
  });
}

TEST(Points, RandomTorusIsUniformByArea) {
  const auto turn = [](double angle) { return angle < 0 ? angle + two_pi : angle; };
  expect_uniform("random_torus:n=4000,seed=3", 3, [&](const double *x) {
    const double radius = std::hypot(x[0], x[1]);
    EXPECT_NEAR(std::hypot(radius - 2, x[2]), 1, 1e-14);
    const double v = turn(std::atan2(x[2], radius - 2));
    return std::array{turn(std::atan2(x[1], x[0])) / two_pi,
                      (v + 0.5 * std::sin(v)) / two_pi};  // share of the area below v
  });
}

TEST(Points, DoubleWellHasItsDensity) {
  constexpr double t = 0.3;
  constexpr int steps = 20000;
  std::vector<double> below{0};  // mass of exp(-(x^2 - 1)^2 / t) below -3 + 6 k / steps, trapezoidal rule
  const auto density = [](int k) {
    const double x = -3 + 6.0 * k / steps;
    return std::exp(-(x * x - 1) * (x * x - 1) / t);
  };
  for (int k = 0; k < steps; ++k) below.push_back(below.back() + 0.5 * (density(k) + density(k + 1)));
  expect_uniform("double_well:n=4000,t=0.3,seed=3", 2, [&](const double *x) {
    const auto cell = static_cast<std::size_t>((x[0] + 3) / 6 * steps);
    return std::array{below[cell] / below.back(), 0.5 * (1 + std::erf(x[1] / std::sqrt(t)))};
  });
}

TEST(Points, SetsAreTheSameForAnyNumberOfRanks) {
  const auto alone = make_self_communicator();
  for (const char *text :
       {"circle:n=37", "torus:n=4,q=2", "hypercube:d=5", "swiss_roll:n=9,m=5",
        "clusters:n=61,d=4,k=3,spread=0.2,seed=5", "random_swiss_roll:n=61,seed=2", "random_torus:n=61,seed=2",
        "double_well:n=61,seed=2", "normal:n=61,d=3,seed=8", "normal:n=2,d=3"}) {
    const PointBlock single = generate_points(text, *alone);
    EXPECT_EQ(generated(text).rows, std::vector<double>(single.rows().begin(), single.rows().end())) << text;
  }
  EXPECT_NE(generated("normal:n=61,d=3,seed=8").rows, generated("normal:n=61,d=3,seed=9").rows);
  EXPECT_NE(generated("random_swiss_roll:n=61,seed=2").rows, generated("random_swiss_roll:n=61,seed=3").rows);
  EXPECT_NE(generated("random_torus:n=61,seed=2").rows, generated("random_torus:n=61,seed=3").rows);
}

TEST(Points, ClustersLieAroundTheirCentres) {
  const PointSet points = generated("clusters:n=3000,d=2,k=3,spread=0.01,seed=4");
  for (std::size_t i = 3; i < points.count(); ++i)
    for (int k = 0; k < 2; ++k) {
      EXPECT_LT(std::abs(points.row(i)[k]), 1.1);
      EXPECT_NEAR(points.row(i)[k], points.row(i % 3)[k], 0.01 * 10);  // point i belongs to cloud i mod 3
    }
}

TEST(Points, UnknownSetsAndArgumentsAreRefused) {
  const auto message = [](const char *text) { return error_of([&] { generate_points(text, world()); }); };
  for (const char *known : {"circle", "torus", "hypercube", "swiss_roll", "random_swiss_roll", "random_torus",
                            "double_well", "clusters", "normal"})
    EXPECT_NE(message("ring:n=3").find(known), std::string::npos) << message("ring:n=3");
  EXPECT_NE(message("circle:m=3").find("'m'"), std::string::npos);
  EXPECT_NE(message("circle:n=0"), "no error");
  EXPECT_NE(message("circle:n=-4"), "no error");
  EXPECT_NE(message("clusters:n=10,spread=-1"), "no error");
  EXPECT_NE(message("circle:n=10,n=11"), "no error");
  EXPECT_NE(message("random_swiss_roll:m=3"), "no error");
  EXPECT_NE(message("random_torus:n=0"), "no error");
}

TEST(Points, ValuesThatAreNotFiniteAreNamed) {
  const RowPartition partition({{{GlobalRow{5}, 2}}, {{GlobalRow{0}, 5}}});
  for (const double bad : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    std::vector<double> rows = {1, 2, 3, 4, 5, 6};
    rows[5] = bad;  // local row 1 is global row 6, feature 2
    const std::string text = error_of([&] { PointBlock(partition, 0, 3, rows); });
    EXPECT_NE(text.find("row 6"), std::string::npos) << text;
    EXPECT_NE(text.find("feature 2"), std::string::npos) << text;
  }
}

TEST(Points, FeatureScalesMultiply) {
  PointBlock block(RowPartition::contiguous(2, 1), 0, 3, {1, 2, 3, 4, 5, 6});
  EXPECT_TRUE(block.feature_scales().empty());
  const auto rows = [&] { return std::vector<double>(block.rows().begin(), block.rows().end()); };
  const auto scales = [&] { return std::vector<double>(block.feature_scales().begin(), block.feature_scales().end()); };
  block.set_feature_scales({2, 0.5, 1});
  EXPECT_EQ(rows(), (std::vector<double>{2, 1, 3, 8, 2.5, 6}));
  EXPECT_EQ(scales(), (std::vector<double>{2, 0.5, 1}));
  block.set_feature_scales({2, 2, 4});  // times what they were
  EXPECT_EQ(rows(), (std::vector<double>{4, 2, 12, 16, 5, 24}));
  EXPECT_EQ(scales(), (std::vector<double>{4, 1, 4}));
}

TEST(Points, BadFeatureScalesChangeNothing) {
  const std::vector<double> given = {1, 1e300, 3, 4, 5, 6};
  PointBlock block(RowPartition::contiguous(2, 1), 0, 3, given);
  for (const double bad : {0.0, -1.0, std::nan(""), std::numeric_limits<double>::infinity()}) {
    const std::string message = error_of([&] { block.set_feature_scales({1, 2, bad}); });
    EXPECT_NE(message.find("feature 2 (counted from 0) is "), std::string::npos) << message;
  }
  EXPECT_NE(error_of([&] {
              block.set_feature_scales({1, 2});
            }).find("2 numbers given for 3 features"),
            std::string::npos);
  const std::string beyond = error_of([&] { block.set_feature_scales({1, 1e9, 1}); });
  EXPECT_NE(beyond.find("row 0, feature 1 is 1e+300, which its scale 1e+09 takes beyond"), std::string::npos) << beyond;
  EXPECT_TRUE(block.feature_scales().empty());
  EXPECT_EQ(std::vector<double>(block.rows().begin(), block.rows().end()), given);
}

// The rows that arrive are scaled already; what the scales are arrives with them, on ranks without rows too.
TEST(Points, RedistributingKeepsFeatureScales) {
  for (const std::int64_t rows : {1, 19}) {
    PointBlock block = generate_points("normal:n=" + std::to_string(rows) + ",d=2,seed=3", world());
    const PointSet plain = gather_points(block, world());
    block.set_feature_scales({3, 0.25});
    for (const NamedPartition &to : partitions(rows, world().size())) {
      SCOPED_TRACE(to.name);
      PointBlock moved = redistribute(world(), block, to.partition);
      EXPECT_EQ(std::vector<double>(moved.feature_scales().begin(), moved.feature_scales().end()),
                (std::vector<double>{3, 0.25}));
      const PointSet scaled = gather_points(moved, world());
      for (std::size_t i = 0; i < scaled.rows.size(); ++i)
        EXPECT_EQ(scaled.rows[i], plain.rows[i] * (i % 2 == 0 ? 3 : 0.25));
    }
  }
}

TEST(Points, LengthsMoveWithTheirRows) {
  const PointSet points = random_points(23, 2, 31);
  std::vector<double> lengths = random_numbers(23, 32);
  for (double &length : lengths) length += 2;
  for (const NamedPartition &from : partitions(23, world().size()))
    for (const NamedPartition &to : partitions(23, world().size())) {
      SCOPED_TRACE(from.name + " to " + to.name);
      PointBlock block = local_block(points, from.partition, world().rank());
      block.set_point_scales(local_columns(lengths, 1, from.partition, world().rank()));
      const PointBlock moved = redistribute(world(), std::move(block), to.partition);
      EXPECT_EQ(gather_points(moved, world()).rows, points.rows);
      const std::span<const double> scales = moved.point_scales();
      EXPECT_EQ(gather_columns({scales.begin(), scales.end()}, 1, to.partition, world()), lengths);
    }
}

TEST(Points, LengthsArePositiveAndFinite) {
  PointBlock block(RowPartition::contiguous(3, 1), 0, 1, {1, 2, 3});
  block.set_point_scales({1, 2, 3});
  for (const double bad : {0.0, -1.0, std::nan(""), HUGE_VAL})
    EXPECT_NE(error_of([&] { block.set_point_scales({1, bad, 1}); }).find("that of row 1 is "), std::string::npos);
  EXPECT_NE(error_of([&] { block.set_point_scales({1, 2}); }).find("2 numbers given for 3 rows"), std::string::npos);
  EXPECT_EQ(block.point_scales()[2], 3) << "an error changed them";
}

TEST(Points, ZeroLengthsBecomeTheSmallest) {
  for (const NamedPartition &on : partitions(11, world().size())) {
    SCOPED_TRACE(on.name);
    const int rank = world().rank();
    const auto replaced = [&](const std::vector<double> &all, std::int64_t *count) {
      std::vector<double> mine = local_columns(all, 1, on.partition, rank);
      *count = replace_zero_scales(world(), on.partition, mine);
      return gather_columns(mine, 1, on.partition, world());
    };
    std::int64_t count = 0;
    EXPECT_EQ(replaced({3, 0, 5, 2, 0, 7, 4, 9, 2.5, 6, 0}, &count),
              (std::vector<double>{3, 2, 5, 2, 2, 7, 4, 9, 2.5, 6, 2}));
    EXPECT_EQ(count, 3);
    replaced(std::vector<double>(11, 0.5), &count);
    EXPECT_EQ(count, 0);
    EXPECT_NE(error_of([&] { replaced(std::vector<double>(11, 0.0), &count); }).find("of all points are 0"),
              std::string::npos);
    EXPECT_NE(error_of([&] {
                replaced({1, 1, 1, 1, 1, 1, -2, 1, 1, 1, 1}, &count);
              }).find("row 6 is -2"),
              std::string::npos);
  }
}

TEST(Points, ShapesOfGeneratedSets) {
  for (const char *text : {"circle:n=37", "torus:n=4,q=3", "hypercube:d=5", "swiss_roll:n=9,m=5",
                           "clusters:n=61,d=4,k=3", "normal:n=61,d=3", "normal", "circle"}) {
    const PointBlock points = generate_points(text, world());
    const PointShape shape = generated_shape(text);
    EXPECT_EQ(shape.rows, points.partition().rows()) << text;
    EXPECT_EQ(shape.features, points.features()) << text;
  }
  EXPECT_EQ(generated_shape("normal:n=1000000000000,d=1000").rows, 1000000000000);  // nothing is made
  EXPECT_NE(error_of([] { generated_shape("ring:n=3"); }).find("known are circle:n="), std::string::npos);
  EXPECT_NE(error_of([] { generated_shape("circle:m=3"); }).find("unknown argument 'm'"), std::string::npos);
}

TEST(Points, ShapesAreChecked) {
  const RowPartition partition = RowPartition::contiguous(4, 2);
  EXPECT_THROW(PointBlock(partition, 0, 0, {}), Error);
  EXPECT_THROW(PointBlock(partition, 0, 3, {1, 2, 3}), Error);
  EXPECT_NO_THROW(PointBlock(RowPartition::contiguous(1, 2), 1, 3, {}));
}

TEST(Points, MeanIsOverAllRanks) {
  const PointBlock block = generate_points("normal:n=101,d=3,seed=2", world());
  const PointSet all = gather_points(block, world());
  const std::vector<double> mean = global_mean(world(), block);
  for (std::size_t k = 0; k < 3; ++k) {
    Real sum = 0;
    for (std::size_t i = 0; i < all.count(); ++i) sum += all.row(i)[k];
    EXPECT_NEAR(mean[k], static_cast<double>(sum / 101), 101 * 0x1p-53);
  }
}

/// Median over the positive squared distances of all pairs i < j.
double brute_force_median(const PointSet &points) {
  std::vector<double> squared;
  for (std::size_t i = 0; i < points.count(); ++i)
    for (std::size_t j = i + 1; j < points.count(); ++j) {
      double sum = 0;
      for (int k = 0; k < points.features; ++k) sum += std::pow(points.row(i)[k] - points.row(j)[k], 2);
      if (sum > 0) squared.push_back(sum);
    }
  std::sort(squared.begin(), squared.end());
  const std::size_t half = squared.size() / 2;
  return squared.size() % 2 == 1 ? squared[half] : (squared[half - 1] + squared[half]) / 2;
}

TEST(Points, MedianOfAllPairs) {
  for (const char *text : {"normal:n=101,d=3,seed=2", "normal:n=60,d=7,seed=3", "hypercube:d=6", "circle:n=9"}) {
    const PointBlock block = generate_points(text, world());
    const MedianBandwidth median = median_bandwidth(world(), block, 1);
    const double expected = brute_force_median(gather_points(block, world()));
    EXPECT_NEAR(median.median_squared_distance, expected, 1e-13 * expected) << text;
    EXPECT_EQ(median.sample, block.partition().rows());
  }
}

TEST(Points, MedianLeavesOutCoincidingPoints) {
  PointSet points{1, {}};
  for (int i = 0; i < 40; ++i) points.rows.push_back(i < 30 ? 0.0 : 1.0 + i);
  const RowPartition partition = RowPartition::contiguous(40, world().size());
  const MedianBandwidth median = median_bandwidth(world(), local_block(points, partition, world().rank()), 1);
  EXPECT_DOUBLE_EQ(median.median_squared_distance, brute_force_median(points));
  std::fill(points.rows.begin(), points.rows.end(), 2.0);
  EXPECT_THROW(median_bandwidth(world(), local_block(points, partition, world().rank()), 1), Error);
}

TEST(Points, MedianOfASampleDependsOnTheSeedAlone) {
  const auto alone = make_self_communicator();
  const char *text = "normal:n=500,d=3,seed=2";
  const MedianBandwidth here = median_bandwidth(world(), generate_points(text, world()), 7, 64);
  const MedianBandwidth single = median_bandwidth(*alone, generate_points(text, *alone), 7, 64);
  EXPECT_EQ(here.sample, 64);
  EXPECT_EQ(here.median_squared_distance, single.median_squared_distance);
  EXPECT_NE(here.median_squared_distance,
            median_bandwidth(world(), generate_points(text, world()), 8, 64).median_squared_distance);
  EXPECT_NEAR(here.median_squared_distance, brute_force_median(gather_points(generate_points(text, world()), world())),
              1.5);
}

}  // namespace
}  // namespace flashring::test
