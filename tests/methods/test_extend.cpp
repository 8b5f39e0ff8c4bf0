// Extension: golden values, its own points, the oracle for every pair function, far points, small eigenvalues, memory.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "flashring/check.hpp"
#include "flashring/diffusion_map.hpp"
#include "flashring/extend.hpp"
#include "flashring/petsc_mat.hpp"
#include "flashring/readers.hpp"
#include "support/apply.hpp"
#include "support/golden.hpp"
#include "support/pair_text.hpp"
#include "support/petsc.hpp"
#include "support/tolerance.hpp"

namespace flashring::test {
namespace {

const bool started = start_petsc();

/// A map and the operator of its points.
struct Solved {
  Solved(const Settings &settings, PointBlock points, int pairs, const std::vector<double> &measure = {}) {
    OperatorOptions options = options_of(settings);
    options.form = Form::symmetric;
    op = make_operator(PETSC_COMM_WORLD, options, std::move(points));
    if (!measure.empty()) op->update_measure(local_columns(measure, 1, op->partition(), world().rank()));
    Mat A = nullptr;
    check_petsc(mat_create(PETSC_COMM_WORLD, op, &A), "mat_create");
    DiffusionMapRequest request;
    request.eigen.pairs = pairs;
    request.eigen.tolerance = 1e-12;
    map = diffusion_map(A, *op, request);
    MatDestroy(&A);
  }
  const Results &results() const { return map.results; }

  std::shared_ptr<KernelOperator> op;
  DiffusionMap map;
};

PointBlock block(const PointSet &points, const std::string &pair = "gaussian") {
  const auto count = static_cast<std::int64_t>(points.count());
  const RowPartition partition = RowPartition::contiguous(count, world().size());
  return with_lengths(local_block(points, partition, world().rank()), parse_pair(pair));
}

/// Column k of (rows of this rank, K), whole.
std::vector<double> whole_column(const std::vector<double> &matrix, const PointBlock &points, int k) {
  const auto n = points.local_rows();
  return gather_columns({matrix.begin() + k * n, matrix.begin() + (k + 1) * n}, 1, points.partition(), world());
}

TEST(Extension, GoldenValuesOfFourPoints) {
  const std::pair<const char *, std::pair<double, double>> golden_values[] = {{"0", {-.377588297598, 1.004961595867}},
                                                                              {"0.5", {-.491794330114, .822521492812}}};
  for (const auto &[alpha, psi] : golden_values) {
    const Solved solved({{"beta", "0.5"}, {"alpha", alpha}}, block({1, {0, 1, 2, 4}}), 3);
    Extension extension(*solved.op, solved.results());
    const PointBlock points = block({1, {1.5, 3.0}});
    const ExtendedRows rows = extension.apply(points);
    const std::vector<double> found = whole_column(rows.right, points, 1);
    EXPECT_NEAR(found[0], psi.first, 2e-12) << alpha;
    EXPECT_NEAR(found[1], psi.second, 2e-12) << alpha;
    for (const double one : whole_column(rows.right, points, 0)) EXPECT_EQ(one, 1);
  }
}

/// The 597 last digits in the map of the 1,200 first. Golden numbers are good to 1e-13 over the eigenvalue; the map has
/// residuals of 1e-12, over gaps of 0.004 and eigenvalues of 0.8 with vectors up to 9.
TEST(Extension, DigitsThatTheMapHasNotSeen) {
  const Solved solved({{"beta", "0.0033"}}, read_npy(FLASHRING_CONFIGS "/digits_first.npy", world()), 10);
  const PointBlock rest = read_npy(FLASHRING_CONFIGS "/digits_rest.npy", world());
  Extension extension(*solved.op, solved.results());
  EXPECT_EQ(extension.passes(), 1);
  const ExtendedRows rows = extension.apply(rest);
  const GoldenArray expected = golden("digits_extended");
  for (int k = 1; k < 10; ++k) {
    const std::vector<double> found = whole_column(rows.right, rest, k);
    const std::vector<double> column = golden_column(expected, static_cast<std::size_t>(k - 1));
    for (std::size_t i = 0; i < found.size(); ++i) ASSERT_NEAR(found[i], column[i], 1e-8) << k << " " << i;
  }
  EXPECT_EQ(std::count(rows.far.begin(), rows.far.end(), 0.0), rest.local_rows());
}

/// Largest coefficient of the error of an average, in u: of weights, and of their sums.
double steps(const PairTable &table) {
  return *std::max_element(table.error.begin(), table.error.end()) +
         static_cast<double>(sum_error(static_cast<int>(table.visiting)));
}

/// The sum over p is lambda psi + r, |r|_pi the residual, so |r_i| <= residual / pi_i^(1/2). Averages have the relative
/// error 2 e u of the largest |psi|: numerator and denominator. Both are divided by lambda.
void expect_own_values(const Solved &solved, const PointSet &points, const std::string &pair, double unit) {
  const PointBlock own = block(points, pair);
  Extension extension(*solved.op, solved.results());
  const Results &map = solved.results();
  const ExtendedRows rows = extension.apply(own);
  const double e = steps(make_table(oracle_pair(pair), points, points));
  const std::vector<double> pi = gather_columns(map.pi, 1, own.partition(), world());
  for (int k = 1; k < map.pairs; ++k) {
    const auto at = static_cast<std::size_t>(k);
    const std::vector<double> psi = whole_column(map.right, own, k);
    const std::vector<double> found = whole_column(rows.right, own, k);
    double largest = 0;
    for (const double value : psi) largest = std::max(largest, std::abs(value));
    for (std::size_t i = 0; i < psi.size(); ++i) {
      const double bound = (map.residuals[at] / std::sqrt(pi[i]) + 2 * e * unit * largest) / map.eigenvalues[at];
      ASSERT_NEAR(found[i], psi[i], bound) << pair << " pair " << k << " point " << i;
    }
  }
}

TEST(Extension, OwnPointsKeepTheirValues) {
  const PointSet points = random_points(90, 3, 81);
  for (const std::string &name : host_pair_names(3)) {
    const std::string pair = spread_pair(name, 3);
    expect_own_values(Solved({{"pair", pair}, {"alpha", "1"}}, block(points, pair), 5), points, pair, 0x1p-53);
  }
}

TEST(Extension, OwnPointsWithMeasureScalesAndExchange) {
  const PointSet points = random_points(90, 3, 82);
  std::vector<double> measure = random_numbers(90, 83);
  for (double &m : measure) m += 1.1;
  const std::string pair = spread_pair("gaussian", 3);
  for (const char *exchange : {"ring", "resident"})
    expect_own_values(Solved({{"pair", pair}, {"exchange", exchange}}, block(points), 5, measure), points, pair,
                      0x1p-53);
  // Averages in fp32 of a map in fp64.
  Solved solved({{"pair", pair}}, block(points), 4);
  solved.op = make_operator(PETSC_COMM_WORLD, options_of({{"pair", pair}, {"precision", "fp32"}}), block(points));
  expect_own_values(solved, points, pair, 0x1p-24);
}

/// A map of known numbers that no solver has seen: the formula alone, at new points.
Results made_up(const RowPartition &partition, const std::vector<double> &weight, const std::vector<double> &right,
                int pairs) {
  const int rank = world().rank();
  Results map;
  map.rows = partition.rows();
  map.pairs = pairs;
  for (int k = 0; k < pairs; ++k) map.eigenvalues.push_back(1 - 0.7 * k / pairs);
  map.residuals.assign(static_cast<std::size_t>(pairs), 0.0);
  map.weight = local_columns(weight, 1, partition, rank);
  map.right = local_columns(right, pairs, partition, rank);
  return map;
}

/// Every pair function, on partitions with empty ranks, with more pairs than a pass carries.
TEST(Extension, EqualsTheOracle) {
  constexpr int pairs = 70;
  const PointSet points = random_points(110, 4, 84);
  const PointSet others = random_points(60, 4, 85);
  std::vector<double> weight = random_numbers(110, 86);
  for (double &w : weight) w = std::exp(2 * w);
  const std::vector<double> right = random_numbers(std::size_t{110} * pairs, 87);
  std::vector<double> g;
  for (const double w : weight) g.push_back(std::log(w));
  const auto spread = partitions(110, world().size());
  std::size_t p = 0;
  for (const std::string &name : host_pair_names(4)) {
    const std::string pair = spread_pair(name, 4);
    SCOPED_TRACE(pair);
    const RowPartition &partition = spread[p++ % spread.size()].partition;
    KernelOperator op = make_operator(points, options_of({{"pair", pair}}), partition);
    Extension extension(op, made_up(partition, weight, right, pairs));
    EXPECT_EQ(extension.passes(), 2);
    const PointBlock mine = block(others, pair);
    const ExtendedRows rows = extension.apply(mine);
    const std::vector<double> found = gather_columns(rows.right, pairs, mine.partition(), world());
    const std::vector<double> density = gather_columns(rows.log_density, 1, mine.partition(), world());
    if (world().rank() != 0) continue;
    const PairTable table = make_table(oracle_pair(pair), others, points);
    const Bounded average = oracle_log_sum_exp(table, g, right, pairs, arithmetic(Precision::fp64, 256));
    const Bounded plain = oracle_log_sum_exp(table, {}, {}, 0, arithmetic(Precision::fp64, 256));
    for (std::size_t at = 60; at < found.size(); ++at) {
      const double value = 1 - 0.7 * static_cast<double>(at / 60) / pairs;
      // One more rounding for the quotient, twice the bound where inner_exp has a shift.
      ASSERT_NEAR(found[at], static_cast<double>(average.value[60 + at]) / value,
                  2 * static_cast<double>(average.bound[60 + at]) / value + 0x1p-53 * std::abs(found[at]));
    }
    for (std::size_t i = 0; i < 60; ++i)  // lse, its logarithm of the average of 1/w, and two sums
      ASSERT_NEAR(density[i], static_cast<double>(plain.value[i]),
                  4 * static_cast<double>(plain.bound[i] + average.bound[i]) + 0x1p-50);
  }
}

/// One map point at 0 and one at 1: D(x) = exp(-x^2) + exp(-(x-1)^2) passes 2^-53 at a place found by hand.
TEST(Extension, FarPointsAreFlaggedAndHaveTheValueOfTheNearest) {
  const PointSet points{1, {0, 1}};
  const RowPartition partition = RowPartition::contiguous(2, world().size());
  KernelOperator op = make_operator(points, options_of({{"beta", "1"}}), partition);
  Extension extension(op, made_up(partition, {1, 2}, {1, 1, -3, 5}, 2));
  const double edge = 1 + std::sqrt(53 * std::log(2.0));  // the point at 1 alone; that at 0 adds exp(-2 edge + 1)
  const PointBlock mine = block({1, {-50, edge - 1e-3, edge + 1e-3, 200, 1e6, 1e9}});
  const ExtendedRows rows = extension.apply(mine);
  const std::vector<double> far = gather_columns(rows.far, 1, mine.partition(), world());
  const std::vector<double> psi = whole_column(rows.right, mine, 1);
  EXPECT_EQ(far, (std::vector<double>{1, 0, 1, 1, 1, 1}));
  const double value = 1 - 0.7 / 2;
  EXPECT_EQ(psi[0], -3 / value);
  for (const std::size_t i : {3, 4, 5}) EXPECT_EQ(psi[i], 5 / value) << i;
  const std::vector<double> density = gather_columns(rows.log_density, 1, mine.partition(), world());
  EXPECT_NEAR(density[0], -2500, 2500 * 8 * 0x1p-53);
  EXPECT_NEAR(density[3], -199.0 * 199, 199 * 199 * 8 * 0x1p-53);
}

/// inner_exp: what a point weighs with itself depends on where it is, and weights are shifted.
TEST(Extension, FarPointsOfInnerProducts) {
  const PointSet points{2, {1, 0, 0, 1}};
  const RowPartition partition = RowPartition::contiguous(2, world().size());
  KernelOperator op = make_operator(points, options_of({{"pair", "inner_exp:s=1"}}), partition);
  Extension extension(op, made_up(partition, {1, 1}, {1, 1, -1, 1}, 2));
  // Along (1, 1) a point at distance r weighs exp(r^2) with itself, and 2 exp(r / 2^(1/2)) with the two.
  const PointBlock mine = block({2, {0, 0, 3, 3, 6, 6}});
  const ExtendedRows rows = extension.apply(mine);
  EXPECT_EQ(gather_columns(rows.far, 1, mine.partition(), world()), (std::vector<double>{0, 0, 1}));
  const std::vector<double> density = gather_columns(rows.log_density, 1, mine.partition(), world());
  for (std::size_t i = 0; i < 3; ++i) EXPECT_NEAR(density[i], std::log(2.0) + 3.0 * static_cast<double>(i), 1e-14);
}

std::string refusal(KernelOperator &op, const Results &map) {
  try {
    Extension extension(op, map);
  } catch (const Error &error) {
    EXPECT_TRUE(error.common());
    return error.what();
  }
  return "";
}

TEST(Extension, SmallEigenvaluesAreRefusedByPair) {
  const RowPartition partition = RowPartition::contiguous(6, world().size());
  Results map = made_up(partition, std::vector<double>(6, 1.0), random_numbers(18, 88), 3);
  for (const auto &[precision, least] :
       {std::pair("fp64", 1e-11), std::pair("fp32", 1e-4), std::pair("reduced", 1e-2)}) {
    KernelOperator op = make_operator(random_points(6, 2, 89), options_of({{"beta", "1"}, {"precision", precision}}));
    EXPECT_DOUBLE_EQ(least_eigenvalue(0, op.precision()), least);
    map.eigenvalues[2] = 1.01 * least;
    EXPECT_EQ(refusal(op, map), "");
    map.eigenvalues[2] = -1.01 * least;
    EXPECT_EQ(refusal(op, map), "");
    map.eigenvalues[2] = 0.99 * least;
    const std::string words = refusal(op, map);
    for (const char *part : {"eigenvalue 2 is ", ", below ", "-nev 2 takes the pairs before it"})
      EXPECT_NE(words.find(part), std::string::npos) << words;
  }
  map.eigenvalues[2] = 0.05;
  map.residuals[2] = 1e-3;
  KernelOperator op = make_operator(random_points(6, 2, 89), options_of({{"beta", "1"}}));
  EXPECT_NE(refusal(op, map).find("below 0.1 in magnitude, and its residual is 0.001"), std::string::npos);
}

TEST(Extension, BlocksFitIntoTheirMemory) {
  for (const int features : {1, 30, 784, 100000})
    for (const int pairs : {2, 10, 300}) {
      const std::int64_t rows = extension_rows(features, pairs);
      EXPECT_TRUE(rows >= 1024 && rows <= 65536) << features << " " << pairs;
      EXPECT_TRUE(rows == 1024 || static_cast<double>(rows) * extension_bytes(features, pairs) <= 0x1p26) << rows;
    }
}

TEST(Extension, ThePlanGrowsWithTheMapNotWithTheNewPoints) {
  const OperatorOptions options = options_of({{"beta", "1"}, {"ramp", "none"}});
  const RunPlan small =
      plan_extension(world(), options, {options.pair, {100000, 10}, 10, {}}, 10, std::int64_t{1} << 20U);
  const RunPlan more =
      plan_extension(world(), options, {options.pair, {100000, 10}, 10, {}}, 10, std::int64_t{1} << 40U);
  EXPECT_EQ(small.peak(), more.peak());
  const RunPlan large =
      plan_extension(world(), options, {options.pair, {1000000, 10}, 10, {}}, 10, std::int64_t{1} << 20U);
  EXPECT_GT(large.peak(), small.peak() + 900000.0 / world().size() * 8 * (10 + 10));
}

}  // namespace
}  // namespace flashring::test
