// Backend sm80 without a GPU: the bodies of its kernels on fibers (support/sm80.hpp), against the long double oracle:
// pair functions x row rules x precisions x sides x columns x numbers of features, patterns of tile pairs, masks,
// ragged tiles, partial waves, and what a block call promises beside its sums. FLASHRING_TEST_RATIOS=1 prints the
// largest error in units of its bound.
#include <gtest/gtest.h>

#include <cmath>

#include "support/sm80_blocks.hpp"

namespace flashring::test {
namespace {

constexpr int T = sm80::tile_rows;

class Sm80 : public ::testing::TestWithParam<std::tuple<std::string, int>> {};

TEST_P(Sm80, AgreesWithTheOracle) {
  const auto &[name, d] = GetParam();
  const std::string text = spread_pair(name, d);
  // Many columns and rows are more turns of loops that do not know of features: with three features alone.
  const bool whole = d == 3;
  const std::vector<int> many = whole ? std::vector{1, 2, 3, 8, 33, 64} : std::vector{1, 3};
  const std::vector<int> visiting_counts = whole ? std::vector{T, 1} : std::vector{33, 1};
  for (const RowKind row : row_kinds)
    for (const Precision precision : precisions) {
      const Blocks blocks(text, make_shape(text, row, precision, d, many.back()), {T, 33}, visiting_counts);
      const Answers answers(blocks);
      std::vector<int> numbers = many;
      if (row == RowKind::logsumexp && whole) numbers.push_back(0);
      for (const int columns : numbers)
        for (const Sides sides : all_sides)
          if (columns <= 8 || sides == Sides::both)  // no other code than for 8
            check_sides(blocks, columns, answers, sides, sm80::Variant::plain);
    }
}

/// Products of differences, on the plain path whatever the variant.
TEST_P(Sm80, DifferencesAgreeWithTheOracle) {
  const auto &[name, d] = GetParam();
  const std::string text = spread_pair(name, d);
  for (const Precision precision : precisions) {
    const TileShape shape = make_shape(text, RowKind::difference_product, precision, d, d == 3 ? 10 : 3);
    const Blocks blocks(text, shape, {T, 33}, {33, 1});
    const Answers answers(blocks);
    for (const int columns : d == 3 ? std::vector{1, 2, 4, 5, 10} : std::vector{3})
      for (const Sides sides : all_sides) check_sides(blocks, columns, answers, sides, sm80::Variant::plain);
  }
}

/// Up to 15 functions, whose identity fits an argument; no pieces of features.
TEST(Sm80Differences, WhatThereAreKernelsFor) {
  using sm80::Variant;
  const auto has = [](Variant variant, const char *text, Precision precision, int d, int columns) {
    return sm80::has_kernels(variant, make_shape(text, RowKind::difference_product, precision, d, columns));
  };
  const char *gaussian = "gaussian:beta=1";
  EXPECT_TRUE(has(Variant::chosen, gaussian, Precision::fp64, 40, 15));
  EXPECT_FALSE(has(Variant::chosen, gaussian, Precision::fp64, 40, 16));
  EXPECT_FALSE(has(Variant::chosen, gaussian, Precision::fp64, 40, 0));
  EXPECT_TRUE(has(Variant::chosen, gaussian, Precision::fp32, 3, 1));
  EXPECT_FALSE(has(Variant::chosen, gaussian, Precision::fp32, 40, 1));
  EXPECT_TRUE(has(Variant::plain, gaussian, Precision::fp32, 40, 1));
  EXPECT_TRUE(has(Variant::chosen, "laplacian:ell=1", Precision::fp32, 40, 1));
}

std::string param_name(const ::testing::TestParamInfo<std::tuple<std::string, int>> &param) {
  return std::get<0>(param.param) + "_d" + std::to_string(std::get<1>(param.param));
}

INSTANTIATE_TEST_SUITE_P(Every, Sm80,
                         ::testing::Combine(::testing::ValuesIn(all_pair_names()), ::testing::Values(1, 3, 8, 20)),
                         param_name);
INSTANTIATE_TEST_SUITE_P(Covariances, Sm80,
                         ::testing::Combine(::testing::Values("local_mahalanobis"), ::testing::Values(1, 3, 20)),
                         param_name);

/// Patterns of tile pairs with masks, in waves of two by two tiles and other sizes. The tuned form has few features and
/// values: where a test has more columns than it takes, it gets two.
class Sm80Patterns : public ::testing::TestWithParam<std::tuple<RowKind, Precision, sm80::Variant>> {
 protected:
  static RowKind row() { return std::get<0>(GetParam()); }
  static Precision precision() { return std::get<1>(GetParam()); }
  static sm80::Variant variant() { return std::get<2>(GetParam()); }
  static TileShape shape(int columns, Mask mask = {}) {
    const bool few = variant() == sm80::Variant::chosen && columns > 3;
    return make_shape(text, row(), precision(), 3, few ? 2 : columns, mask);
  }
  static void run(const BlockCall &call, WaveSteps steps = {}, CudaBlock::Order order = CudaBlock::Order::forward) {
    EXPECT_EQ(sm80::chosen_path(variant(), call.shape) == sm80::Path::plain, variant() == sm80::Variant::plain);
    emulate(call, {variant(), steps, order});
  }
  static constexpr const char *text = "gaussian:beta=0.7";
};

const std::vector<int> own_counts = {T, 40, T, 7, 96};
const std::vector<int> visiting_counts = {65, T, 32};

TEST_P(Sm80Patterns, HalvesOfARectangle) {
  for (const PairPattern pattern : {PairPattern::even_half, PairPattern::odd_half}) {
    Blocks blocks(text, shape(3), own_counts, visiting_counts);
    blocks.keep(pattern);
    const Answers expected(blocks);
    for (const WaveSteps steps : {WaveSteps{2, 2}, WaveSteps{1, 1}, WaveSteps{3, 2}, WaveSteps{9, 9}}) {
      TileArrays own = blocks.arrays(true);
      TileArrays visiting = blocks.arrays(false);
      run(make_call(blocks.shape, own, visiting, pattern, Sides::both), steps);
      EXPECT_EQ(outside(own.finish(), expected.own), "");
      EXPECT_EQ(outside(visiting.finish(), expected.visiting), "");
    }
  }
}

TEST_P(Sm80Patterns, SkippedPairsOfTiles) {
  for (const PairPattern pattern : {PairPattern::rectangle, PairPattern::odd_half}) {
    Blocks blocks(text, shape(3), own_counts, visiting_counts);
    const std::vector<std::uint64_t> kept = {0b101, 0b000, 0b010, 0b111, 0b100};
    blocks.keep(pattern, kept.data());
    TileArrays own = blocks.arrays(true);
    TileArrays visiting = blocks.arrays(false);
    BlockCall call = make_call(blocks.shape, own, visiting, pattern, Sides::both);
    call.kept = kept.data();
    run(call);
    EXPECT_EQ(outside(own.finish(), blocks.expected(true)), "");
    EXPECT_EQ(outside(visiting.finish(), blocks.expected(false)), "");
  }
}

TEST_P(Sm80Patterns, SquareEqualsRectangle) {
  for (const bool exclude_self : {false, true}) {
    Blocks blocks(text, shape(3, {false, exclude_self}), own_counts, own_counts);
    blocks.make_square();
    TileArrays plain = blocks.arrays(true);
    const Bounded expected = blocks.expected(true);
    TileArrays same = blocks.arrays(false);
    run(make_call(blocks.shape, plain, same, PairPattern::rectangle, Sides::own));
    EXPECT_EQ(outside(plain.finish(), expected), "");
    for (const WaveSteps steps : {WaveSteps{2, 2}, WaveSteps{1, 3}, WaveSteps{5, 5}}) {
      TileArrays square = blocks.arrays(true);
      run(make_call(blocks.shape, square, square, PairPattern::square, Sides::both), steps);
      EXPECT_EQ(outside(square.finish(), expected), "");
    }
  }
}

TEST_P(Sm80Patterns, MasksCompareRowsOf64Bits) {
  // Rows beyond 32 bits, and rows that pass the largest number of 31 bits inside a tile.
  for (const std::int64_t base : {(std::int64_t{1} << 33) + 7, (std::int64_t{1} << 31) - 100})
    for (const Mask &mask : {Mask{true, false}, Mask{false, true}, Mask{true, true}})
      for (const std::int64_t offset : {std::int64_t{0}, std::int64_t{150}, -(std::int64_t{1} << 32)}) {
        SCOPED_TRACE("causal " + std::to_string(mask.causal) + " exclude_self " + std::to_string(mask.exclude_self) +
                     " visiting rows start " + std::to_string(offset) + " after own rows from " + std::to_string(base));
        Blocks blocks(text, shape(1, mask), own_counts, visiting_counts, base, base + offset);
        TileArrays own = blocks.arrays(true);
        TileArrays visiting = blocks.arrays(false);
        run(make_call(blocks.shape, own, visiting, PairPattern::rectangle, Sides::both));
        EXPECT_EQ(outside(own.finish(), blocks.expected(true)), "");
        EXPECT_EQ(outside(visiting.finish(), blocks.expected(false)), "");
      }
}

TEST_P(Sm80Patterns, BitsDependOnTheArgumentsAlone) {
  const Blocks blocks(text, shape(10, {true, false}), own_counts, visiting_counts, 0, 30);
  std::vector<std::vector<std::byte>> own_bits;
  std::vector<std::vector<std::byte>> visiting_bits;
  using Order = CudaBlock::Order;
  for (const Order order : {Order::forward, Order::forward, Order::backward, Order::shuffled}) {
    TileArrays own = blocks.arrays(true);
    TileArrays visiting = blocks.arrays(false);
    run(make_call(blocks.shape, own, visiting, PairPattern::even_half, Sides::both), {2, 2}, order);
    own_bits.push_back(own.state().copy());
    visiting_bits.push_back(visiting.state().copy());
    EXPECT_EQ(own_bits.back(), own_bits.front());
    EXPECT_EQ(visiting_bits.back(), visiting_bits.front());
  }
}

TEST_P(Sm80Patterns, StatesAreAddedToAndPaddingStays) {
  const Blocks blocks(text, shape(3), own_counts, visiting_counts);
  TileArrays own = blocks.arrays(true);
  TileArrays visiting = blocks.arrays(false);
  own.fill_state_padding(-7);
  visiting.fill_state_padding(-7);
  const BlockCall call = make_call(blocks.shape, own, visiting, PairPattern::rectangle, Sides::both);
  run(call);
  run(call);
  for (const bool side : {true, false}) {
    Bounded twice = blocks.expected(side);
    const std::size_t count = (side ? blocks.own_points : blocks.visiting_points).count();
    const bool sum = blocks.shape.row != RowKind::logsumexp;
    for (std::size_t i = 0; i < twice.value.size(); ++i) {
      if (sum) twice.value[i] *= 2;
      if (!sum && i < count) twice.value[i] += std::log(2.0L);
    }
    EXPECT_EQ(outside((side ? own : visiting).finish(), twice, sum ? 2 : 1), "");
  }
  const auto *state = reinterpret_cast<const double *>(own.state().data());
  const int words = row_rule(blocks.shape.row).state_words(0, 3);
  for (int w = 0; w < words; ++w)
    for (int i = own_counts[1]; i < T; ++i) ASSERT_EQ(state[(words + w) * T + i], -7) << w << " " << i;
}

TEST_P(Sm80Patterns, NoTilesNoChange) {
  const Blocks blocks(text, shape(3), own_counts, visiting_counts);
  TileArrays own = blocks.arrays(true);
  TileArrays visiting = blocks.arrays(false);
  const auto before = own.state().copy();
  BlockCall call = make_call(blocks.shape, own, visiting, PairPattern::rectangle, Sides::both);
  call.visiting_tiles = 0;
  run(call);
  call.sides = Sides::own;
  run(call);
  call.own_tiles = 0;
  run(call);
  EXPECT_EQ(own.state().copy(), before);
}

TEST_P(Sm80Patterns, ResetAndMergeAreTheRules) {
  const TileShape of = shape(3);
  const RowRule &rule = row_rule(of.row);
  constexpr std::size_t tiles = 2;
  const std::size_t count = tiles * T * static_cast<std::size_t>(rule.state_words(0, 3));
  std::vector<double> into(count);
  std::vector<double> expected(count);
  std::vector<double> from = random_numbers(count, 41);
  const auto bytes = [](std::vector<double> &v) { return reinterpret_cast<std::byte *>(v.data()); };
  emulate_reset(of, tiles, bytes(into));
  for (std::size_t t = 0; t < tiles; ++t) rule.identity(0, 3, T, bytes(expected) + t * count / tiles * 8);
  EXPECT_EQ(into, expected);
  const int words = rule.state_words(0, 3);
  for (int round = 0; round < 3; ++round) {
    for (std::size_t at = 0; at < count; ++at)  // references are whole numbers
      if (of.row == RowKind::logsumexp && at / T % static_cast<std::size_t>(words) == 0)
        from[at] = std::floor(100 * from[at] + 300 * round * from[(at + 1) % T]);
    emulate_merge(of, tiles, bytes(into), bytes(from));
    for (std::size_t t = 0; t < tiles; ++t)
      rule.merge(0, 3, T, bytes(expected) + t * count / tiles * 8, bytes(from) + t * count / tiles * 8);
    EXPECT_EQ(into, expected);
  }
}

TEST_P(Sm80Patterns, WeightsFarBelowTheSmallestNumber) {
  const std::string narrow = "gaussian:beta=3000";
  TileShape of = shape(2);
  of.pair = parse_pair(narrow);
  const Blocks blocks(narrow, of, own_counts, visiting_counts);
  TileArrays own = blocks.arrays(true);
  TileArrays visiting = blocks.arrays(false);
  run(make_call(of, own, visiting, PairPattern::rectangle, Sides::both));
  EXPECT_EQ(outside(own.finish(), blocks.expected(true)), "");
  EXPECT_EQ(outside(visiting.finish(), blocks.expected(false)), "");
}

TEST_P(Sm80Patterns, PaddingWhoseWeightIsInfinite) {
  // exp(-<x,y> + 900) of points near 30 is a number, of the zeros in the padding it is none.
  const std::string negative = "inner_exp:s=-1";
  TileShape of = make_shape(negative, row(), precision(), 1, 2);
  of.pair.parameters[1] = -900;
  Blocks blocks(negative, of, {T, 9}, {17});
  for (double &x : blocks.own_points.rows) x += 30;
  for (double &x : blocks.visiting_points.rows) x += 30;
  blocks.table = make_table(oracle_pair(negative), blocks.own_points, blocks.visiting_points);
  for (Real &l : blocks.table.log_weight) l += 900;
  TileArrays own = blocks.arrays(true);
  TileArrays visiting = blocks.arrays(false);
  run(make_call(of, own, visiting, PairPattern::rectangle, Sides::both));
  EXPECT_EQ(outside(own.finish(), blocks.expected(true)), "");
  EXPECT_EQ(outside(visiting.finish(), blocks.expected(false)), "");
}

class Sm80LogSumExp : public Sm80Patterns {};

TEST_P(Sm80LogSumExp, LogWeightsOfAnySizeAndHiddenRows) {
  Blocks blocks(text, shape(2), own_counts, visiting_counts);
  for (double &g : blocks.visiting_weights) g *= 1e4;  // exp overflows and underflows
  for (double &g : blocks.own_weights) g *= 1e4;
  for (std::size_t j = 0; j < blocks.visiting_weights.size(); j += 2)
    blocks.visiting_weights[j] = -std::numeric_limits<double>::infinity();
  TileArrays own = blocks.arrays(true);
  TileArrays visiting = blocks.arrays(false);
  run(make_call(blocks.shape, own, visiting, PairPattern::rectangle, Sides::both));
  EXPECT_EQ(outside(own.finish(), blocks.expected(true)), "");
  EXPECT_EQ(outside(visiting.finish(), blocks.expected(false)), "");
}

std::string pattern_name(const ::testing::TestParamInfo<std::tuple<RowKind, Precision, sm80::Variant>> &param) {
  const auto &[row, precision, variant] = param.param;
  return std::string(row_rule(row).name) + (precision == Precision::fp64 ? "_fp64" : "_fp32") +
         (variant == sm80::Variant::chosen ? "_tuned" : "");
}

/// The plain path and that of few features for these rules.
auto plain_params(const std::vector<RowKind> &rows) {
  return ::testing::Combine(::testing::ValuesIn(rows), ::testing::ValuesIn(precisions),
                            ::testing::Values(sm80::Variant::plain));
}
auto few_params(const std::vector<RowKind> &rows) {
  return ::testing::Combine(::testing::ValuesIn(rows), ::testing::Values(Precision::fp32),
                            ::testing::Values(sm80::Variant::chosen));
}
const std::vector<RowKind> all_rows = {std::begin(row_kinds), std::end(row_kinds)};

INSTANTIATE_TEST_SUITE_P(Every, Sm80Patterns, plain_params(all_rows), pattern_name);
INSTANTIATE_TEST_SUITE_P(Differences, Sm80Patterns, plain_params({RowKind::difference_product}), pattern_name);
INSTANTIATE_TEST_SUITE_P(Few, Sm80Patterns, few_params(all_rows), pattern_name);
INSTANTIATE_TEST_SUITE_P(Every, Sm80LogSumExp, plain_params({RowKind::logsumexp}), pattern_name);
INSTANTIATE_TEST_SUITE_P(Few, Sm80LogSumExp, few_params({RowKind::logsumexp}), pattern_name);

}  // namespace
}  // namespace flashring::test
