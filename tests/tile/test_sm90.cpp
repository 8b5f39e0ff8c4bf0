// Backend sm90 without a GPU: the bodies of its kernels on HopperBlock, against the long double oracle: both forms of
// points, precisions, sides, columns, masks, patterns, ragged tiles, more own tiles than blocks; and bits that do not
// depend on the order of threads, the arrival of copies or the number of blocks. FLASHRING_TEST_RATIOS=1 prints the
// largest error in units of its bound.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>

#include "sm80/cost.hpp"
#include "sm90/arguments.hpp"
#include "sm90/cost.hpp"
#include "support/pair_text.hpp"
#include "support/sm80_blocks.hpp"
#include "support/sm90.hpp"
#include "support/stated.hpp"

namespace flashring::test {
namespace {

constexpr int T = sm80::tile_rows;
constexpr Sides all_sides[] = {Sides::own, Sides::visiting, Sides::both};

std::string name_of(const TileShape &shape, Sides sides) {
  return std::string(row_rule(shape.row).name) + (shape.precision == Precision::fp32 ? " fp32" : " reduced") +
         " d=" + std::to_string(shape.features) + " columns=" + std::to_string(shape.columns) +
         " sides=" + std::to_string(static_cast<int>(sides));
}

/// With the payload of the tensor path.
Blocks make_blocks(const std::string &pair, const TileShape &shape, const std::vector<int> &own,
                   const std::vector<int> &visiting, std::int64_t own_first = 0, std::int64_t visiting_first = 0) {
  Blocks blocks(pair, shape, own, visiting, own_first, visiting_first);
  blocks.variant = sm80::Variant::chosen;
  return blocks;
}

/// Evaluates a call and holds its answers against the oracle. Sides that are not served stay as they were.
void check(const Blocks &blocks, PairPattern pattern, Sides sides, const Machine &machine = {}, WaveSteps steps = {},
           const std::uint64_t *kept = nullptr) {
  SCOPED_TRACE(name_of(blocks.shape, sides));
  TileArrays own = blocks.arrays(true);
  TileArrays visiting = blocks.arrays(false);
  BlockCall call = make_call(blocks.shape, own, visiting, pattern, sides);
  call.kept = kept;
  const auto own_before = own.state().copy();
  const auto visiting_before = visiting.state().copy();
  emulate_sm90(call, machine, steps);
  double worst = 0;
  for (const bool side : {true, false}) {
    TileArrays &arrays = side ? own : visiting;
    if (side ? has_own(sides) : has_visiting(sides)) {
      const Bounded expected = blocks.expected(side);
      EXPECT_EQ(outside(arrays.finish(), expected), "");
      worst = std::max(worst, static_cast<double>(worst_ratio(arrays.finish(), expected)));
    } else {
      EXPECT_EQ(arrays.state().copy(), side ? own_before : visiting_before) << "a state that is not served was touched";
    }
  }
  if (std::getenv("FLASHRING_TEST_RATIOS") != nullptr)
    std::printf("ratio %.3f %s\n", worst, name_of(blocks.shape, sides).c_str());
}

/// Squared norms, each of its own point.
std::vector<Real> norms_of(const PointSet &points) {
  return tile_norms(points, make_tile_list(0, std::vector<int>(points.count(), 1)));
}

/// Errors as the backend states them: those of cut-off sums and of pieces left out are no roundings.
Blocks with_stated(Blocks blocks, const std::string &pair) {
  blocks.table = with_stated_errors(blocks.table, oracle_pair(pair), norms_of(blocks.own_points),
                                    norms_of(blocks.visiting_points), sm90::error(blocks.shape), 0x1p-24);
  return blocks;
}

class Sm90 : public ::testing::TestWithParam<std::tuple<std::string, int>> {};

TEST_P(Sm90, AgreesWithTheOracle) {
  const auto &[name, d] = GetParam();
  const std::string text = spread_pair(name, d);
  for (const Precision precision : {Precision::fp32, Precision::reduced}) {
    const TileShape shape = make_shape(text, RowKind::sum, precision, d, 1);
    const Blocks blocks = with_stated(make_blocks(text, shape, {33, T}, {T, 1}), text);
    for (const Sides sides : all_sides) check(blocks, PairPattern::rectangle, sides);
  }
}

/// Columns do not know of features: a number of each form.
class Sm90Columns : public Sm90 {};

TEST_P(Sm90Columns, AgreeWithTheOracle) {
  const auto &[name, d] = GetParam();
  const std::string text = spread_pair(name, d);
  for (const Precision precision : {Precision::fp32, Precision::reduced})
    for (const int columns : d == 9 ? std::vector{2, 33, 64} : std::vector{32}) {
      const TileShape shape = make_shape(text, RowKind::sum, precision, d, columns);
      const Blocks blocks = with_stated(make_blocks(text, shape, {33, T}, {T, 1}), text);
      for (const Sides sides : all_sides)
        if (columns < 10 || sides == Sides::both) check(blocks, PairPattern::rectangle, sides);
    }
}

TEST_P(Sm90, LogSumExpAgreesWithTheOracle) {
  const auto &[name, d] = GetParam();
  const std::string text = spread_pair(name, d);
  for (const Precision precision : {Precision::fp32, Precision::reduced})
    for (const int columns : d == 9 ? std::vector{0, 1, 3, 40} : std::vector{0, 1}) {
      const TileShape shape = make_shape(text, RowKind::logsumexp, precision, d, columns);
      check(with_stated(make_blocks(text, shape, {33, T}, {T, 1}), text), PairPattern::rectangle, Sides::both);
    }
  const TileShape shape = make_shape(text, RowKind::logsumexp, Precision::fp32, d, 1);
  check(with_stated(make_blocks(text, shape, {33, T}, {T, 1}), text), PairPattern::rectangle, Sides::visiting);
}

std::string param_name(const ::testing::TestParamInfo<std::tuple<std::string, int>> &param) {
  return std::get<0>(param.param) + "_d" + std::to_string(std::get<1>(param.param));
}

INSTANTIATE_TEST_SUITE_P(Forms, Sm90,
                         ::testing::Combine(::testing::Values("gaussian", "inner_exp"),
                                            ::testing::Values(9, 16, 25, 26, 64, 100)),
                         param_name);
INSTANTIATE_TEST_SUITE_P(Forms, Sm90Columns,
                         ::testing::Combine(::testing::Values("gaussian", "inner_exp"), ::testing::Values(9, 64)),
                         param_name);
INSTANTIATE_TEST_SUITE_P(Formulas, Sm90,
                         ::testing::Combine(::testing::Values("matern32", "matern52", "rational_quadratic"),
                                            ::testing::Values(16)),
                         param_name);

/// Patterns of tile pairs and masks, with few features.
constexpr const char *text = "gaussian:beta=0.7";
constexpr int features = 9;
TileShape shape_of(int columns, Mask mask = {}) {
  return make_shape(text, RowKind::sum, Precision::fp32, features, columns, mask);
}
const std::vector<int> own_counts = {T, 40, T, 7, 96};
const std::vector<int> visiting_counts = {65, T, 32};

TEST(Sm90Patterns, OwnTilesThatABlockTakesOneAfterTheOther) {
  const Blocks blocks = make_blocks(text, shape_of(1), own_counts, visiting_counts);
  for (const int count : {1, 3, 5}) {
    Machine machine;
    machine.blocks = count;
    check(blocks, PairPattern::rectangle, Sides::both, machine, {5, 5});
  }
}

TEST(Sm90Patterns, MoreVisitingTilesThanNotesAndStages) {
  const Blocks blocks = make_blocks(text, shape_of(1), {T, 9}, {9, 8, 7, 6, 5, 4, 3, 2, 1, 10, 11});
  for (const auto order : {CudaBlock::Order::forward, CudaBlock::Order::backward, CudaBlock::Order::shuffled})
    for (const auto delivery : {HopperBlock::Delivery::late, HopperBlock::Delivery::early})
      check(blocks, PairPattern::rectangle, Sides::both, {1, order, delivery}, {99, 99});
}

TEST(Sm90Patterns, PointsAreAtDistanceZeroFromThemselves) {
  // Far from the origin, where norms and products round to much more than what a distance may be off.
  const std::string narrow = "gaussian:beta=3";
  TileShape of = make_shape(narrow, RowKind::sum, Precision::reduced, features, 1);
  Blocks blocks = make_blocks(narrow, of, {T, 40}, {30, T}, 100, 70);
  const auto d = static_cast<std::size_t>(features);
  for (double &x : blocks.own_points.rows) x = 20 * x + 40;
  for (std::size_t j = 0; j < blocks.visiting_points.count(); ++j)  // row j has the number of own row j - 30
    for (std::size_t k = 0; k < d; ++k)
      blocks.visiting_points.rows[j * d + k] = j < 30 ? 0 : blocks.own_points.rows[(j - 30) * d + k];
  TileArrays own = blocks.arrays(true);
  TileArrays visiting = blocks.arrays(false);
  emulate_sm90(make_call(of, own, visiting, PairPattern::rectangle, Sides::own));
  const std::vector<double> sums = own.finish();
  for (std::size_t i = 0; i < T; ++i)
    EXPECT_NEAR(sums[i], blocks.visiting_values[i + 30], 1e-6 * std::abs(blocks.visiting_values[i + 30])) << i;
}

TEST(Sm90Patterns, HalvesOfARectangle) {
  for (const PairPattern pattern : {PairPattern::even_half, PairPattern::odd_half}) {
    Blocks blocks = make_blocks(text, shape_of(1), own_counts, visiting_counts);
    blocks.keep(pattern);
    for (const WaveSteps steps : {WaveSteps{2, 2}, WaveSteps{9, 9}}) check(blocks, pattern, Sides::both, {}, steps);
  }
}

TEST(Sm90Patterns, SkippedPairsAndSweepsWithoutAny) {
  Blocks blocks = make_blocks(text, shape_of(1), own_counts, visiting_counts);
  const std::vector<std::uint64_t> kept = {0b101, 0b000, 0b010, 0b111, 0b100};
  blocks.keep(PairPattern::rectangle, kept.data());
  for (const Sides sides : all_sides) check(blocks, PairPattern::rectangle, sides, {}, {2, 2}, kept.data());
}

TEST(Sm90Patterns, LogWeightsOfAnySizeAndHiddenRows) {
  for (const auto &[mask, sides] : {std::pair{Mask{}, Sides::both}, std::pair{Mask{false, true}, Sides::both},
                                    std::pair{Mask{true, true}, Sides::own}}) {
    TileShape of = shape_of(1, mask);
    of.row = RowKind::logsumexp;
    Blocks blocks = make_blocks(text, of, own_counts, visiting_counts, 0, 20);
    for (double &g : blocks.visiting_weights) g *= 1e4;  // exp overflows and underflows
    for (std::size_t j = 0; j < blocks.visiting_weights.size(); j += 2)
      blocks.visiting_weights[j] = -std::numeric_limits<double>::infinity();
    check(blocks, PairPattern::rectangle, sides);
  }
}

TEST(Sm90Patterns, StatesAreAddedToAndPaddingStays) {
  for (const RowKind row : {RowKind::sum, RowKind::logsumexp}) {
    TileShape of = shape_of(1);
    of.row = row;
    const Blocks blocks = make_blocks(text, of, {T, 40}, {65, 7});
    TileArrays own = blocks.arrays(true);
    TileArrays visiting = blocks.arrays(false);
    own.fill_state_padding(-7);
    const BlockCall call = make_call(of, own, visiting, PairPattern::rectangle, Sides::both);
    emulate_sm90(call);
    emulate_sm90(call);
    Bounded twice = blocks.expected(true);
    for (std::size_t i = 0; i < twice.value.size(); ++i) {
      if (row == RowKind::sum) twice.value[i] *= 2;
      if (row == RowKind::logsumexp && i < blocks.own_points.count()) twice.value[i] += std::log(2.0L);
    }
    EXPECT_EQ(outside(own.finish(), twice, row == RowKind::sum ? 2 : 1), "");
    const auto *state = reinterpret_cast<const double *>(own.state().data());
    const int words = row_rule(row).state_words(0, 1);
    for (int w = 0; w < words; ++w)
      for (int i = 40; i < T; ++i) ASSERT_EQ(state[(words + w) * T + i], -7) << w << " " << i;
  }
}

constexpr RowKind rows[] = {RowKind::sum, RowKind::logsumexp};

TEST(Sm90Patterns, SquareEqualsRectangle) {
  // Bits below the diagonal say nothing: pairs there are the other side of those above.
  const std::vector<std::uint64_t> kept = {0b11101, 0b11111, 0b10111, 0b11111, 0b01010};
  const std::vector<std::uint64_t> both_ways = {0b11101, 0b11110, 0b10111, 0b11011, 0b01111};
  for (const RowKind row : rows)
    for (const bool skips : {false, true})
      for (const bool exclude_self : {false, true}) {
        TileShape of = shape_of(1, {false, exclude_self});
        of.row = row;
        Blocks blocks = make_blocks(text, of, own_counts, own_counts);
        blocks.make_square();
        if (skips) blocks.keep(PairPattern::rectangle, both_ways.data());
        TileArrays square = blocks.arrays(true);
        BlockCall call = make_call(blocks.shape, square, square, PairPattern::square, Sides::both);
        if (skips) call.kept = kept.data();
        emulate_sm90(call);
        EXPECT_EQ(outside(square.finish(), blocks.expected(true)), "");
      }
}

TEST(Sm90Patterns, ManyColumnsOfEveryPattern) {
  const std::vector<std::uint64_t> kept = {0b101, 0b000, 0b010, 0b111, 0b100};
  for (const RowKind row : rows)
    for (const bool causal : {false, true})
      for (const PairPattern pattern : {PairPattern::rectangle, PairPattern::odd_half}) {
        TileShape of = shape_of(3, {causal, true});
        of.row = row;
        Blocks blocks = make_blocks(text, of, own_counts, visiting_counts, 0, 20);
        blocks.keep(pattern, kept.data());
        check(blocks, pattern, row == RowKind::logsumexp && causal ? Sides::own : Sides::both, {}, {3, 2}, kept.data());
      }
}

TEST(Sm90Patterns, SquareWithTheVisitingSideAsked) {
  // Tiles with themselves serve the own side, all others the visiting one.
  const std::vector<std::uint64_t> not_above = {0b01, 0b11};
  for (const RowKind row : rows)
    for (const int columns : {1, 3}) {
      TileShape of = shape_of(columns);
      of.row = row;
      Blocks blocks = make_blocks(text, of, {T, 9}, {T, 9});
      blocks.make_square();
      blocks.keep(PairPattern::rectangle, not_above.data());
      TileArrays square = blocks.arrays(true);
      emulate_sm90(make_call(blocks.shape, square, square, PairPattern::square, Sides::visiting));
      EXPECT_EQ(outside(square.finish(), blocks.expected(true)), "");
    }
}

TEST(Sm90Path, LogSumExpWithAVisitingSideAndACausalMaskIsLeftToSm80) {
  for (const bool causal : {false, true}) {
    TileShape of = shape_of(1, {causal, false});
    of.row = RowKind::logsumexp;
    EXPECT_EQ(sm90::way_of(of, Sides::own), sm90::Way::logsumexp);
    EXPECT_EQ(sm90::way_of(of, Sides::both), causal ? sm90::Way::others : sm90::Way::logsumexp);
    of.columns = 2;
    EXPECT_EQ(sm90::way_of(of, Sides::visiting), causal ? sm90::Way::others : sm90::Way::logsumexp_columns);
  }
}

TEST(Sm90Patterns, MasksCompareRowsOf64Bits) {
  for (const std::int64_t base : {(std::int64_t{1} << 33) + 7, (std::int64_t{1} << 31) - 100})
    for (const Mask &mask : {Mask{true, false}, Mask{false, true}, Mask{true, true}})
      for (const std::int64_t offset : {std::int64_t{0}, std::int64_t{150}, -(std::int64_t{1} << 32)}) {
        SCOPED_TRACE("causal " + std::to_string(mask.causal) + " exclude_self " + std::to_string(mask.exclude_self) +
                     " visiting rows start " + std::to_string(offset) + " after own rows from " + std::to_string(base));
        const Blocks blocks = make_blocks(text, shape_of(1, mask), {T, 40}, {65, T}, base, base + offset);
        check(blocks, PairPattern::rectangle, Sides::both);
      }
}

TEST(Sm90Patterns, PaddingWhoseWeightIsInfinite) {
  // exp(-<x,y>/10 + 810) of points near 30 is a number, of the zeros in the padding it is none.
  const std::string negative = "inner_exp:s=-0.1";
  TileShape of = make_shape(negative, RowKind::sum, Precision::fp32, features, 1);
  of.pair.parameters[1] = -810;
  Blocks blocks = make_blocks(negative, of, {9}, {17});
  for (double &x : blocks.own_points.rows) x += 30;
  for (double &x : blocks.visiting_points.rows) x += 30;
  blocks.table = make_table(oracle_pair(negative), blocks.own_points, blocks.visiting_points);
  for (Real &l : blocks.table.log_weight) l += 810;
  check(blocks, PairPattern::rectangle, Sides::both);
}

TEST(TensorCost, SidesThatAreServedByThemselvesAreEvaluatedByThemselves) {
  const auto cost = [](RowKind row, int columns, bool causal, Sides sides) {
    return sm80::cost(sm80::Variant::chosen, make_shape(text, row, Precision::fp32, 64, columns, {causal, false}),
                      sides);
  };
  for (const int columns : {0, 3}) {
    const TileCost one = cost(RowKind::logsumexp, columns, false, Sides::own);
    const TileCost both = cost(RowKind::logsumexp, columns, false, Sides::both);
    EXPECT_EQ(cost(RowKind::logsumexp, columns, false, Sides::visiting).flops(), one.flops());
    EXPECT_EQ(both.flops(), 2 * one.flops());
    EXPECT_EQ(both.products, 2 * one.products);
    EXPECT_EQ(both.exponentials, 2 * one.exponentials);
    EXPECT_EQ(cost(RowKind::logsumexp, columns, true, Sides::own).flops(), one.flops());
    // On the plain kernels: no products, one evaluation.
    EXPECT_EQ(cost(RowKind::logsumexp, columns, true, Sides::both).products, 0);
    EXPECT_EQ(cost(RowKind::logsumexp, columns, true, Sides::both).multiply_adds, 64 + 2 * columns);
  }
  EXPECT_LT(cost(RowKind::sum, 1, false, Sides::both).flops(), 1.1 * cost(RowKind::sum, 1, false, Sides::own).flops());
}

/// Every step and stage several times: streamed chunks, resident ones, and one step a pair; with one column and many.
class Sm90Bits : public ::testing::TestWithParam<std::tuple<int, int>> {};

TEST_P(Sm90Bits, DependOnTheArgumentsAlone) {
  const auto &[d, columns] = GetParam();
  const std::string pair = spread_pair("gaussian", d);
  const Blocks blocks = make_blocks(pair, make_shape(pair, RowKind::sum, Precision::fp32, d, columns, {true, false}),
                                    {T, 40, 7}, {65, T, 3}, 0, 30);
  using Order = CudaBlock::Order;
  using Delivery = HopperBlock::Delivery;
  for (const Sides sides : {Sides::own, Sides::both}) {
    std::vector<std::byte> first;
    for (const Machine &machine :
         {Machine{1, Order::forward, Delivery::late}, Machine{1, Order::backward, Delivery::late},
          Machine{2, Order::shuffled, Delivery::late}, Machine{3, Order::forward, Delivery::early},
          Machine{1, Order::shuffled, Delivery::early}, Machine{1, Order::warps, Delivery::early},
          Machine{1, Order::warps, Delivery::late}}) {
      TileArrays own = blocks.arrays(true);
      TileArrays visiting = blocks.arrays(false);
      emulate_sm90(make_call(blocks.shape, own, visiting, PairPattern::rectangle, sides), machine, {9, 9});
      std::vector<std::byte> bits = own.state().copy();
      const std::vector<std::byte> more = visiting.state().copy();
      bits.insert(bits.end(), more.begin(), more.end());
      if (first.empty()) first = bits;
      EXPECT_EQ(bits, first) << static_cast<int>(sides);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Every, Sm90Bits,
                         ::testing::Values(std::tuple(9, 1), std::tuple(64, 1), std::tuple(300, 1), std::tuple(9, 34)),
                         [](const auto &param) {
                           return "d" + std::to_string(std::get<0>(param.param)) + "_columns" +
                                  std::to_string(std::get<1>(param.param));
                         });

}  // namespace
}  // namespace flashring::test
