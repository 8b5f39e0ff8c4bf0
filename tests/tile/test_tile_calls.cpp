// What a tile call promises beside its sums: masks by 64-bit rows, states that are added to, padding that stays apart,
// both sides at once, calls without work, centring, weights far below the smallest number, and the lanes in use. With
// few features and with many, where backends sum norms, 16-bit numbers or products of a matrix unit.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "flashring/check.hpp"
#include "flashring/options.hpp"
#include "support/scatter.hpp"
#include "support/stated.hpp"
#include "support/tiles.hpp"
#include "support/tolerance.hpp"

namespace flashring::test {
namespace {

constexpr int columns = 3;
constexpr double infinity = std::numeric_limits<double>::infinity();

/// What a test is run for.
struct Case {
  std::string backend;
  RowKind row;
  Precision precision;
  int features;
};

/// Two sides with random points, columns and log weights for one case.
struct Bench {
  Bench(const Case &of, const std::string &text = "gaussian:beta=0.7", int c = columns, Mask mask = {},
        std::int64_t own_first = 0, std::int64_t visiting_first = 0, const std::vector<double> &mean = {},
        double offset = 0)
      : backend(find_backend(of.backend)),
        shape{parse_pair(text), of.row, 0, of.precision, of.features, c, mask},
        own_counts{backend.tile_rows, 9},
        visiting_counts{std::min(backend.tile_rows, 41), 1},
        own_points(shifted(count(own_counts), of.features, 21, offset)),
        visiting_points(shifted(count(visiting_counts), of.features, 22, offset)),
        own(backend, shape, own_points, make_tile_list(own_first, own_counts), mean),
        visiting(backend, shape, visiting_points, make_tile_list(visiting_first, visiting_counts), mean),
        table(table_for(of, text, mean)) {
    own_values = random_numbers(own_points.count() * static_cast<std::size_t>(c), 23);
    visiting_values = random_numbers(visiting_points.count() * static_cast<std::size_t>(c), 24);
    own_weights = random_numbers(own_points.count(), 25);
    visiting_weights = random_numbers(visiting_points.count(), 26);
    own.set_columns(own_values);
    visiting.set_columns(visiting_values);
    if (row_rule(of.row).scalars > 0) own.set_log_weights(own_weights);
    if (row_rule(of.row).scalars > 0) visiting.set_log_weights(visiting_weights);
    hide(table, own.global_rows(), visiting.global_rows(), mask.causal, mask.exclude_self);
  }

  /// Nothing hidden yet. The last table is kept: masks and first rows do not change it.
  const PairTable &table_for(const Case &of, const std::string &text, const std::vector<double> &mean) const {
    static std::string last;
    static PairTable kept;
    const std::string now = of.backend + row_rule(of.row).name + to_string(of.precision) +
                            " d=" + std::to_string(of.features) + " columns=" + std::to_string(shape.columns) + text +
                            (mean.empty() ? "" : " centred");
    if (now == last) return kept;
    kept = make_table(oracle_pair(text), own_points, visiting_points, mean);
    if (of.precision == Precision::reduced)
      kept = with_stated_errors(kept, oracle_pair(text), tile_norms(own_points, own.tiles(), mean),
                                tile_norms(visiting_points, visiting.tiles(), mean), backend.error(shape),
                                unit_roundoff(of.precision));
    last = now;
    return kept;
  }
  static std::size_t count(const std::vector<int> &counts) {
    std::size_t sum = 0;
    for (const int rows : counts) sum += static_cast<std::size_t>(rows);
    return sum;
  }
  static PointSet shifted(std::size_t rows, int features, std::uint64_t seed, double offset) {
    PointSet points = random_points(rows, features, seed);
    for (double &x : points.rows) x += offset;
    return points;
  }

  void run(Sides sides, bool masked = false) {
    evaluate(backend, shape, own, visiting, all_pairs(own, visiting, sides, masked));
  }
  void reset() {
    own.reset_state();
    visiting.reset_state();
  }
  Bounded expected_own() const { return expected(table, visiting_values, visiting_weights); }
  Bounded expected_visiting() const { return expected(transposed(table), own_values, own_weights); }
  Bounded expected(const PairTable &t, const std::vector<double> &values, const std::vector<double> &weights) const {
    const Arithmetic a = arithmetic(shape.precision, backend.tile_rows);
    return shape.row == RowKind::sum ? oracle_sum(t, values, shape.columns, a)
                                     : oracle_log_sum_exp(t, weights, values, shape.columns, a);
  }

  const Backend &backend;
  TileShape shape;
  std::vector<int> own_counts, visiting_counts;
  PointSet own_points, visiting_points;
  TileArrays own, visiting;
  PairTable table;
  std::vector<double> own_values, visiting_values, own_weights, visiting_weights;
};

using Parameters = std::tuple<std::string, RowKind, Precision, int>;

class TileCalls : public ::testing::TestWithParam<Parameters> {
 protected:
  static Case tested() {
    const auto &[name, row, precision, features] = GetParam();
    return {name, row, precision, features};
  }
  static RowKind row() { return std::get<1>(GetParam()); }
};

TEST_P(TileCalls, NoPairsNoChange) {
  Bench bench(tested());
  const auto before = bench.own.state().copy();
  evaluate(bench.backend, bench.shape, bench.own, bench.visiting, {});
  EXPECT_EQ(bench.own.state().copy(), before);
}

TEST_P(TileCalls, BothSidesEqualOwnPlusVisiting) {
  Bench bench(tested());
  bench.run(Sides::both);
  const std::vector<double> own = bench.own.finish();
  const std::vector<double> visiting = bench.visiting.finish();
  bench.reset();
  bench.run(Sides::own);
  bench.run(Sides::visiting);
  // The weights are those of the same points, so only the order of summation may differ: no error of weights enters.
  std::fill(bench.table.error.begin(), bench.table.error.end(), 0.0);
  Bounded one_own = bench.expected_own();
  Bounded one_visiting = bench.expected_visiting();
  const std::vector<double> own_alone = bench.own.finish();
  const std::vector<double> visiting_alone = bench.visiting.finish();
  one_own.value.assign(own_alone.begin(), own_alone.end());
  one_visiting.value.assign(visiting_alone.begin(), visiting_alone.end());
  EXPECT_EQ(outside(own, one_own, 2), "");
  EXPECT_EQ(outside(visiting, one_visiting, 2), "");
}

TEST_P(TileCalls, StatesAreAddedTo) {
  Bench bench(tested());
  bench.run(Sides::both);
  const auto once = bench.own.state().copy();
  bench.reset();
  // The same list in two calls: a call continues where the last one stopped, to the bit.
  const std::vector<TilePair> pairs = all_pairs(bench.own, bench.visiting, Sides::both, false);
  const auto middle = pairs.begin() + 3;
  evaluate(bench.backend, bench.shape, bench.own, bench.visiting, {pairs.begin(), middle});
  evaluate(bench.backend, bench.shape, bench.own, bench.visiting, {middle, pairs.end()});
  EXPECT_EQ(bench.own.state().copy(), once);
  // Every pair twice: sums double, log-sum-exp grows by ln 2, means stay.
  bench.run(Sides::both);
  Bounded twice = bench.expected_own();
  const std::size_t rows = bench.own_points.count();
  for (std::size_t i = 0; i < twice.value.size(); ++i) {
    if (row() == RowKind::sum)
      twice.value[i] *= 2;
    else if (i < rows)
      twice.value[i] += std::log(2.0L);
  }
  EXPECT_EQ(outside(bench.own.finish(), twice, row() == RowKind::sum ? 2 : 1), "");
}

TEST_P(TileCalls, StatePaddingDoesNotMatter) {
  Bench bench(tested());
  bench.run(Sides::both);
  const std::vector<double> own = bench.own.finish();
  const std::vector<double> visiting = bench.visiting.finish();
  for (const double padding : {1e30, -7.0, std::nan("")}) {
    bench.reset();
    bench.own.fill_state_padding(padding);
    bench.visiting.fill_state_padding(padding);
    bench.run(Sides::both);
    EXPECT_EQ(bench.own.finish(), own);
    EXPECT_EQ(bench.visiting.finish(), visiting);
  }
}

TEST_P(TileCalls, MasksCompareRowsOf64Bits) {
  const std::int64_t base = (std::int64_t{1} << 33) + 7;
  const Mask masks[] = {{true, false}, {false, true}, {true, true}};
  for (const Mask &mask : masks)
    for (const std::int64_t offset :
         {std::int64_t{0}, std::int64_t{-5}, std::int64_t{11}, std::int64_t{1} << 32, -(std::int64_t{1} << 32)}) {
      SCOPED_TRACE("causal " + std::to_string(mask.causal) + " exclude_self " + std::to_string(mask.exclude_self) +
                   " visiting rows start " + std::to_string(offset) + " after own rows");
      Bench bench(tested(), "gaussian:beta=0.7", columns, mask, base, base + offset);
      bench.run(Sides::both, true);
      EXPECT_EQ(outside(bench.own.finish(), bench.expected_own()), "");
      EXPECT_EQ(outside(bench.visiting.finish(), bench.expected_visiting()), "");
    }
}

TEST_P(TileCalls, MaskedSumOfOneColumn) {
  // One column has kernels of its own.
  Bench bench(tested(), "gaussian:beta=0.7", 1, {true, false}, 0, 30);
  bench.run(Sides::both, true);
  EXPECT_EQ(outside(bench.own.finish(), bench.expected_own()), "");
  EXPECT_EQ(outside(bench.visiting.finish(), bench.expected_visiting()), "");
}

TEST_P(TileCalls, UnmaskedPairsAreNotTested) {
  // `masked` says where the mask cuts; other pairs count in full, whatever the mask says.
  Bench bench(tested(), "gaussian:beta=0.7", columns, {true, false}, 0, 5000);
  std::fill(bench.table.visible.begin(), bench.table.visible.end(), 1);
  bench.run(Sides::own, false);
  EXPECT_EQ(outside(bench.own.finish(), bench.expected_own()), "");
}

TEST_P(TileCalls, CentredPointsFarFromTheOrigin) {
  const std::vector<double> mean(static_cast<std::size_t>(tested().features), 100.0);
  Bench bench(tested(), "matern52:ell=0.9", columns, {}, 0, 0, mean, 100.0);
  bench.run(Sides::both);
  EXPECT_EQ(outside(bench.own.finish(), bench.expected_own()), "");
  EXPECT_EQ(outside(bench.visiting.finish(), bench.expected_visiting()), "");
}

TEST_P(TileCalls, WeightsFarBelowTheSmallestNumber) {
  // beta r^2 is some thousands: sums vanish, log-sum-exp does not.
  Bench bench(tested(), "gaussian:beta=3000");
  bench.run(Sides::both);
  EXPECT_EQ(outside(bench.own.finish(), bench.expected_own()), "");
  EXPECT_EQ(outside(bench.visiting.finish(), bench.expected_visiting()), "");
}

TEST_P(TileCalls, NegativeInnerExp) {
  Bench bench(tested(), "inner_exp:s=-0.8");
  bench.run(Sides::both);
  EXPECT_EQ(outside(bench.own.finish(), bench.expected_own()), "");
  EXPECT_EQ(outside(bench.visiting.finish(), bench.expected_visiting()), "");
}

std::string param_name(const ::testing::TestParamInfo<Parameters> &info) {
  const auto &[name, row, precision, features] = info.param;
  return test_name(name + "_" + row_rule(row).name + "_" + to_string(precision) + "_d" + std::to_string(features));
}

const auto all_precisions = ::testing::Values(Precision::fp64, Precision::fp32, Precision::reduced);
const auto few_and_many = ::testing::Values(5, 20);

INSTANTIATE_TEST_SUITE_P(Every, TileCalls,
                         ::testing::Combine(::testing::ValuesIn(backends_to_test()),
                                            ::testing::Values(RowKind::sum, RowKind::logsumexp), all_precisions,
                                            few_and_many),
                         param_name);

class LogSumExpCalls : public TileCalls {};

TEST_P(LogSumExpCalls, HiddenSourcesAndRowsThatSeeNothing) {
  Bench bench(tested(), "gaussian:beta=0.7", columns, {true, false}, 0, 4);
  for (std::size_t j = 0; j < bench.visiting_weights.size(); j += 2) bench.visiting_weights[j] = -infinity;
  bench.visiting.set_log_weights(bench.visiting_weights);
  bench.run(Sides::own, true);
  const std::vector<double> out = bench.own.finish();
  EXPECT_EQ(outside(out, bench.expected_own()), "");
  for (std::size_t i = 0; i < 5; ++i) {  // rows 0..4 see nothing: visiting row 4 is hidden by its weight
    EXPECT_EQ(out[i], -infinity);
    EXPECT_EQ(out[bench.own_points.count() + i], 0.0);
  }
}

TEST_P(LogSumExpCalls, LogWeightsOfAnySize) {
  Bench bench(tested());
  for (double &g : bench.visiting_weights) g *= 1e4;  // exp overflows and underflows
  bench.visiting.set_log_weights(bench.visiting_weights);
  bench.run(Sides::own);
  EXPECT_EQ(outside(bench.own.finish(), bench.expected_own()), "");
}

INSTANTIATE_TEST_SUITE_P(Every, LogSumExpCalls,
                         ::testing::Combine(::testing::ValuesIn(backends_to_test()),
                                            ::testing::Values(RowKind::logsumexp), all_precisions, few_and_many),
                         param_name);

TEST(Backends, UnpackGivesWhatPackTakes) {
  for (const std::string &name : backends_to_test())
    for (const char *text : {"gaussian:beta=0.7", "laplacian:ell=0.3", "inner_exp:s=0.2", "self_tuned"})
      for (const int d : {1, 3, 7, 16, 33}) {
        SCOPED_TRACE(name + " " + text + " d=" + std::to_string(d));
        const Backend &backend = find_backend(name);
        const TileShape shape{parse_pair(text), RowKind::sum, 0, Precision::fp64, d, 1, {}};
        const int rows = backend.tile_rows - 3;
        const int numbers = point_numbers(shape.pair, d);
        const std::vector<double> points = random_numbers(static_cast<std::size_t>(rows * numbers), 31);
        const std::vector<double> mean = random_numbers(static_cast<std::size_t>(d), 32);
        constexpr double scale = 0.37;
        const std::size_t bytes = backend.payload_bytes(shape);
        AlignedBytes payload;
        AlignedBytes again;
        payload.resize(bytes);
        again.resize(bytes);
        backend.pack(shape, {points.data(), rows, mean.data(), scale}, payload.data());
        std::vector<double> values(points.size());
        backend.unpack(shape, payload.data(), rows, values.data());
        for (std::size_t i = 0; i < points.size(); ++i) {
          const std::size_t k = i % static_cast<std::size_t>(numbers);
          const double expected = k == mean.size() ? points[i] : (points[i] - mean[k]) * scale;  // a scalar stays
          ASSERT_NEAR(values[i], expected, 4 * 0x1p-53 * std::abs(expected)) << i;
        }
        // And there and back once more: a rounding, no drift.
        backend.pack(shape, {values.data(), rows, nullptr, 1}, again.data());
        std::vector<double> second(points.size());
        backend.unpack(shape, again.data(), rows, second.data());
        for (std::size_t i = 0; i < points.size(); ++i)
          ASSERT_NEAR(second[i], values[i], 2 * 0x1p-53 * std::abs(values[i])) << i;
      }
}

TEST(Backends, UnknownNamesListTheKnown) {
  try {
    find_backend("abacus");
    FAIL() << "abacus was found";
  } catch (const Error &error) {
    EXPECT_NE(std::string(error.what()).find("abacus"), std::string::npos) << error.what();
    for (const std::string &name : backend_names())
      EXPECT_NE(std::string(error.what()).find(name), std::string::npos) << error.what();
  }
  EXPECT_THROW(find_backend("simd:abacus"), Error);
  EXPECT_NO_THROW(find_backend("auto"));
}

#if defined(__x86_64__)
TEST(Backends, VectorLanesFitTheMachine) {
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  const Backend &simd = find_backend("simd");
  if (avx512 || avx2) {
    EXPECT_EQ(simd.lanes_fp32, avx512 ? 16 : 8);
    EXPECT_EQ(find_backend("simd:avx2").lanes_fp32, 8);
  } else {  // 128 bits, of the hardware or as an array, or plain numbers: Highway decides
    EXPECT_TRUE(simd.lanes_fp32 == 4 || simd.lanes_fp32 == 1) << simd.lanes_fp32;
  }
  EXPECT_EQ(simd.lanes_fp64, std::max(1, simd.lanes_fp32 / 2));
  EXPECT_EQ(find_backend("auto").lanes_fp32, simd.lanes_fp32) << "auto does not take the widest vectors";
}
#endif

// Operations of a pair of points, counted by hand from the loops of kernels/simd.
TEST(Backends, CostOfSimdIsWhatItsLoopsDo) {
  const auto expect = [](RowKind row, Precision precision, int features, Sides sides, const TileCost &by_hand) {
    SCOPED_TRACE(std::string(row_rule(row).name) + " " + to_string(precision) + " d=" + std::to_string(features));
    const TileCost cost =
        find_backend("simd").cost({parse_pair("gaussian:beta=1"), row, 0, precision, features, 1, {}}, sides);
    EXPECT_EQ(cost.multiply_adds, by_hand.multiply_adds);
    EXPECT_EQ(cost.adds, by_hand.adds);
    EXPECT_EQ(cost.exponentials, by_hand.exponentials);
    EXPECT_EQ(cost.products, by_hand.products);
  };
  // 3 differences and their squares; 2^-q; one multiply-add for the column of either side.
  expect(RowKind::sum, Precision::fp32, 3, Sides::both, {3 + 2, 3, 1, 0});
  // The sum of two norms, 17 products on top; 2^-q; the column.
  expect(RowKind::sum, Precision::fp32, 17, Sides::own, {17 + 1, 1, 1, 0});
  // 9 words of two 16-bit products; integer to float, the sum of two norms, unit times product on top; 2^-q; the
  // column.
  expect(RowKind::sum, Precision::reduced, 17, Sides::own, {1 + 1, 2, 1, 18});
  // 3 differences and their squares; 2^-q; on either side the giver's weight, a difference, a product, a multiply-add.
  expect(RowKind::difference_product, Precision::fp32, 3, Sides::both, {3 + 2 * 3, 3 + 2, 1, 0});
  // 3 differences and their squares; log weight less reference, on the logarithm, 2^x, its sum; the column.
  expect(RowKind::logsumexp, Precision::fp32, 3, Sides::own, {3 + 1, 3 + 3, 1, 0});
}

}  // namespace
}  // namespace flashring::test
