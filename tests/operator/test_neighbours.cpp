// Nearest neighbours of points spread over the ranks against a sort of all distances; bits on any partition, number of
// threads and route; queries; summaries, plans, bad input.
#include <gtest/gtest.h>

#include <algorithm>

#include "flashring/neighbours.hpp"
#include "support/error_of.hpp"
#include "support/golden.hpp"
#include "support/lattice.hpp"
#include "support/scatter.hpp"
#include "support/world.hpp"

namespace flashring::test {
namespace {

/// All rows on every rank, (rows, 2k) column-major as nearest_by_sorting gives them.
std::vector<double> gathered(const Neighbours &found, const RowPartition &partition) {
  const auto k = static_cast<std::size_t>(found.k);
  const std::size_t rows = found.distances.size() / k;
  std::vector<double> columns(rows * 2 * k);
  for (std::size_t i = 0; i < rows; ++i)
    for (std::size_t n = 0; n < k; ++n) {
      columns[n * rows + i] = found.distances[i * k + n];
      columns[(k + n) * rows + i] = static_cast<double>(found.rows[i * k + n]);
    }
  return gather_columns(columns, 2 * found.k, partition, world());
}

OperatorOptions options_of(Precision precision, const char *backend = "auto", int threads = 1,
                           const char *route = "direct") {
  OperatorOptions options;
  options.precision = precision;
  options.backend = backend;
  options.threads = threads;
  options.route = route;
  return options;
}

constexpr auto others = [](std::size_t i, std::size_t j) { return i != j; };
constexpr auto all = [](std::size_t /*i*/, std::size_t /*j*/) { return true; };

/// Of a lattice and its mirror image: their mean is a lattice point, so that nothing is rounded when it is taken off.
PointSet mirrored(std::size_t half, int features, std::uint64_t seed) {
  PointSet points{features, lattice_points(half, features, seed)};
  for (std::size_t at = 0; at < half * static_cast<std::size_t>(features); ++at)
    points.rows.push_back(4 - points.rows[at]);
  return points;
}

OperatorOptions tuned_options(int k, const char *pair = "self_tuned") {
  OperatorOptions options = options_of(Precision::fp32);  // lengths are found in fp64 all the same
  options.pair = parse_pair(pair);
  options.knn = k;
  return options;
}

/// The lengths of the dense reference; points at the place of others have theirs.
TEST(TunedScales, AreDistancesToTheSeventhNeighbour) {
  const GoldenArray rows = golden("random_points");
  const GoldenArray expected = golden("random_knn7");
  const PointSet set{static_cast<int>(rows.shape[1]), rows.values};
  const RowPartition partition = RowPartition::contiguous(static_cast<std::int64_t>(set.count()), world().size());
  PointBlock points = local_block(set, partition, world().rank());
  EXPECT_EQ(tune_point_scales(world(), tuned_options(7), points).copies, 0);
  const std::vector<double> scales(points.point_scales().begin(), points.point_scales().end());
  const std::vector<double> all_scales = gather_columns(scales, 1, partition, world());
  for (std::size_t i = 0; i < all_scales.size(); ++i)
    EXPECT_NEAR(all_scales[i], expected.values[i], 1e-14 * expected.values[i]);
  const PointBlock queries = local_block(set, partition, world().rank());
  EXPECT_EQ(tuned_scales(world(), tuned_options(7), queries, points), scales);
}

/// Five copies of a point have four neighbours at distance 0, the last of which gives no length.
TEST(TunedScales, CopiesHaveTheSmallestLengthOfOthers) {
  PointSet set = random_points(40, 2, 17);
  for (std::size_t i = 1; i < 5; ++i)
    std::copy_n(set.rows.begin(), 2, set.rows.begin() + static_cast<std::ptrdiff_t>(6 * i));
  const RowPartition partition = RowPartition::contiguous(40, world().size());
  PointBlock points = local_block(set, partition, world().rank());
  EXPECT_EQ(tune_point_scales(world(), tuned_options(4), points).copies, 5);
  const std::vector<double> scales(points.point_scales().begin(), points.point_scales().end());
  const std::vector<double> lengths = gather_columns(scales, 1, partition, world());
  for (const std::size_t copy : {0U, 3U, 6U, 9U, 12U})
    EXPECT_EQ(lengths[copy], *std::min_element(lengths.begin(), lengths.end()));
  EXPECT_EQ(tuned_scales(world(), tuned_options(4), local_block(set, partition, world().rank()), points), scales);
}

constexpr const char *covariances = "local_mahalanobis:beta=1";

/// Of point i and its k nearest neighbours, in long double: about their mean, and a hundredth of the mean variance
/// more.
std::vector<double> covariance_of_neighbours(const PointSet &set, const std::vector<double> &sorted, std::size_t i,
                                             std::size_t k) {
  const auto d = static_cast<std::size_t>(set.features);
  std::vector<std::size_t> rows = {i};
  for (std::size_t n = 0; n < k; ++n) rows.push_back(static_cast<std::size_t>(sorted[(k + n) * set.count() + i]));
  std::vector<Real> mean(d, 0);
  for (const std::size_t row : rows)
    for (std::size_t a = 0; a < d; ++a) mean[a] += set.row(row)[a] / static_cast<Real>(rows.size());
  std::vector<Real> sums;
  Real trace = 0;
  for (std::size_t a = 0; a < d; ++a)
    for (std::size_t b = 0; b <= a; ++b) {
      Real sum = 0;
      for (const std::size_t row : rows) sum += (set.row(row)[a] - mean[a]) * (set.row(row)[b] - mean[b]);
      sums.push_back(sum / static_cast<Real>(k));
      if (a == b) trace += sums.back();
    }
  for (std::size_t a = 0; a < d; ++a) sums[a * (a + 3) / 2] += trace / (100 * static_cast<Real>(d));
  return {sums.begin(), sums.end()};
}

TEST(TunedScales, CovariancesAreThoseOfNeighbours) {
  PointSet set = random_points(70, 3, 19);
  for (double &x : set.rows) x += 1000;  // which the differences of neighbours do not see
  const std::vector<double> sorted = nearest_by_sorting(set.rows, set.rows, 3, 0, 6, others);
  std::vector<double> first;  // of the first partition, which is contiguous
  for (const auto &[name, partition] : partitions(70, world().size())) {
    SCOPED_TRACE(name);
    PointBlock points = local_block(set, partition, world().rank());
    EXPECT_EQ(tune_point_scales(world(), tuned_options(6, covariances), points).copies, 0);
    const std::vector<double> mine(points.point_scales().begin(), points.point_scales().end());
    std::vector<double> columns(mine.size());  // (local_rows, 6) column-major
    const std::size_t n = mine.size() / 6;
    for (std::size_t at = 0; at < mine.size(); ++at) columns[at % 6 * n + at / 6] = mine[at];
    const std::vector<double> found = gather_columns(columns, 6, partition, world());
    if (first.empty()) first = found;
    for (std::size_t i = 0; i < (world().rank() == 0 ? set.count() : 0); ++i) {
      const std::vector<double> expected = covariance_of_neighbours(set, sorted, i, 6);
      // 14 sums and products of numbers below (2 k) times the largest variance, and no more from the offset.
      for (std::size_t c = 0; c < 6; ++c)
        EXPECT_NEAR(found[c * set.count() + i], expected[c], 200 * 0x1p-53) << "row " << i << " number " << c;
    }
    if (name == "contiguous") {
      EXPECT_EQ(found, first);
    }
    EXPECT_EQ(tuned_scales(world(), tuned_options(6, covariances), local_block(set, partition, world().rank()), points),
              mine)
        << "new points at the places of points";
  }
}

TEST(TunedScales, CovariancesOfCopiesAndOfTooFewNeighbours) {
  PointSet set = random_points(40, 2, 17);
  for (std::size_t i = 1; i < 5; ++i)
    std::copy_n(set.rows.begin(), 2, set.rows.begin() + static_cast<std::ptrdiff_t>(6 * i));
  const RowPartition partition = RowPartition::contiguous(40, world().size());
  PointBlock points = local_block(set, partition, world().rank());
  EXPECT_EQ(tune_point_scales(world(), tuned_options(4, covariances), points).copies, 5);
  if (world().rank() == 0) {
    EXPECT_GT(points.point_scales()[0], 0);
    EXPECT_EQ(points.point_scales()[0], points.point_scales()[2]);
    EXPECT_EQ(points.point_scales()[1], 0);
  }
  const auto refusal = [&](const PointSet &of, int k) {
    PointBlock block = local_block(of, partition, world().rank());
    return error_of([&] { tune_point_scales(world(), tuned_options(k, covariances), block); });
  };
  EXPECT_NE(refusal(set, 1).find("-knn 1: the covariance of 2 points has rank 1"), std::string::npos);
  EXPECT_NE(refusal(random_points(40, 33, 1), 33).find("covariances of at most 32"), std::string::npos);
  const PointSet one{2, std::vector<double>(80, 0.5)};
  EXPECT_NE(refusal(one, 4).find("all covariances are 0"), std::string::npos);
}

TEST(TunedScales, GivenLengthsStay) {
  const PointSet set = random_points(20, 2, 18);
  PointBlock points = local_block(set, RowPartition::contiguous(20, world().size()), world().rank());
  const std::vector<double> given(static_cast<std::size_t>(points.local_rows()), 0.5);
  points.set_point_scales(given);
  EXPECT_FALSE(tune_point_scales(world(), tuned_options(4), points).made);
  EXPECT_TRUE(std::equal(given.begin(), given.end(), points.point_scales().begin()));
  OperatorOptions gaussian;
  PointBlock plain = local_block(set, RowPartition::contiguous(20, world().size()), world().rank());
  EXPECT_FALSE(tune_point_scales(world(), gaussian, plain).made);
  EXPECT_TRUE(plain.point_scales().empty());
}

/// Lattices have duplicates and many equal distances, and no rounding in any precision.
TEST(Neighbours, AreTheSortToTheLastBit) {
  for (const int d : {1, 3, 12}) {
    const PointSet points = mirrored(300, d, 5);
    for (const int k : {1, 7, max_columns}) {
      if (d != 3 && k != 7) continue;
      const std::vector<double> expected = nearest_by_sorting(points.rows, points.rows, d, 0, k, others);
      for (const auto &[name, partition] : partitions(600, world().size()))
        for (const Precision precision : {Precision::fp64, Precision::fp32}) {
          const Neighbours found =
              nearest_neighbours(world(), options_of(precision), local_block(points, partition, world().rank()), k);
          ASSERT_TRUE(gathered(found, partition) == expected) << name << " d=" << d << " k=" << k;
        }
    }
  }
}

TEST(Neighbours, OfQueriesAreTheSortToTheLastBit) {
  const PointSet points{3, lattice_points(311, 3, 6)};
  const PointSet queries{3, lattice_points(97, 3, 7)};
  const std::vector<double> expected = nearest_by_sorting(queries.rows, points.rows, 3, 0, 5, all);
  const auto of_queries = partitions(97, world().size());
  const auto of_points = partitions(311, world().size());
  for (std::size_t p = 0; p < of_queries.size(); ++p) {
    const RowPartition &mine = of_queries[p].partition;
    const Neighbours found =
        nearest_points(world(), options_of(Precision::fp64), local_block(queries, mine, world().rank()),
                       local_block(points, of_points[of_points.size() - 1 - p].partition, world().rank()), 5);
    EXPECT_TRUE(gathered(found, mine) == expected) << of_queries[p].name;
  }
}

/// Sums of squared differences in fp64 do not depend on what is where. Against a sum in another order: d additions and
/// a square and a difference, of either sum: u of the square of the distance each, half of it of the distance; roots
/// add u.
TEST(Neighbours, HaveTheSameBitsHoweverRowsAreSpread) {
  constexpr int d = 6;
  constexpr int k = 9;
  const PointSet points = random_points(900, d, 71);
  const std::vector<double> sorted = nearest_by_sorting(points.rows, points.rows, d, 0, k, others);
  std::vector<double> first;
  for (const auto &[name, partition] : partitions(900, world().size()))
    for (const bool other : {false, true}) {
      const OperatorOptions options = options_of(Precision::fp64, "auto", other ? 3 : 1, other ? "travel" : "direct");
      const Neighbours found = nearest_neighbours(world(), options, local_block(points, partition, world().rank()), k);
      const std::vector<double> here = gathered(found, partition);
      if (first.empty()) first = here;
      EXPECT_TRUE(here == first) << name << " " << other;
    }
  for (std::size_t at = 0; at < 900 * k; ++at) ASSERT_NEAR(first[at], sorted[at], (d + 4) * 0x1p-53 * sorted[at]);
  for (std::size_t at = 900 * k; at < first.size(); ++at) ASSERT_EQ(first[at], sorted[at]);
}

/// Far from the origin fp32 holds lattice points to 1/16 alone.
TEST(Neighbours, AreCentredInSinglePrecision) {
  PointSet points = mirrored(100, 2, 8);
  const std::vector<double> expected = nearest_by_sorting(points.rows, points.rows, 2, 0, 4, others);
  for (double &x : points.rows) x += 1e6;
  const RowPartition partition = RowPartition::contiguous(200, world().size());
  const Neighbours found =
      nearest_neighbours(world(), options_of(Precision::fp32), local_block(points, partition, world().rank()), 4);
  EXPECT_TRUE(gathered(found, partition) == expected);
}

TEST(Neighbours, AreSummarised) {
  // On a line: 0, 1, 3, 7, 15, ... and the first of them twice.
  PointSet points{1, {0, 0, 1, 3, 7, 15, 31}};
  const RowPartition partition = RowPartition::contiguous(7, world().size());
  const Neighbours found =
      nearest_neighbours(world(), options_of(Precision::fp64), local_block(points, partition, world().rank()), 2);
  const NeighbourSummary summary = summarise(world(), found);
  EXPECT_EQ(summary.rows, 7);
  EXPECT_EQ(summary.duplicates, 2);
  EXPECT_EQ(summary.least, 1);
  EXPECT_EQ(summary.median, 3);  // of 1, 1, 1, 3, 6, 12, 24
  EXPECT_EQ(summary.largest, 24);
}

TEST(Neighbours, RefuseWhatCannotBe) {
  const PointSet points{1, {0, 1, 3, 1e200}};
  const RowPartition partition = RowPartition::contiguous(4, world().size());
  const auto search = [&](int k, OperatorOptions options) {
    return error_of([&] { nearest_neighbours(world(), options, local_block(points, partition, world().rank()), k); });
  };
  const auto says = [](const std::string &error, const char *words) {
    EXPECT_NE(error.find(words), std::string::npos) << error;
  };
  says(search(0, options_of(Precision::fp64)), "k = 0 nearest neighbours; 1 to 64");
  says(search(65, options_of(Precision::fp64)), "k = 65 nearest neighbours; 1 to 64");
  says(search(4, options_of(Precision::fp64)), "there are 3 to choose from");
  says(search(1, options_of(Precision::reduced)), "-precision reduced");
  says(search(3, options_of(Precision::fp64)), "has 2 neighbours whose squared distance is a number");
  EXPECT_EQ(error_of([&] {
              nearest_points(world(), options_of(Precision::fp64),
                             local_block({1, {5}}, RowPartition::contiguous(1, world().size()), world().rank()),
                             local_block(points, partition, world().rank()), 3);
            }),
            "no error");
}

}  // namespace
}  // namespace flashring::test
