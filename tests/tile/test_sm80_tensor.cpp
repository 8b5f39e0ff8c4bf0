// The tensor path of backend sm80 without a GPU: the bodies of its kernels on fibers, with the warp's matrix products
// emulated (support/warp_words.hpp), against the long double oracle with the errors that the backend states.
// FLASHRING_TEST_RATIOS=1 prints the largest error in units of its bound.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>

#include "sm80/cost.hpp"
#include "sm80/tensor_sum.hpp"
#include "support/pair_text.hpp"
#include "support/sm80_blocks.hpp"
#include "support/stated.hpp"

namespace flashring::test {
namespace {

constexpr int T = sm80::tile_rows;
constexpr sm80::Variant variant = sm80::Variant::tensor;

/// Squared norms of points, each its own.
std::vector<Real> norms(const PointSet &points) {
  return tile_norms(points, make_tile_list(0, std::vector<int>(points.count(), 1)));
}

/// Blocks on the tensor path, compared with what the backend states of its errors.
struct TensorBlocks : Blocks {
  TensorBlocks(const std::string &pair_text, const TileShape &of, const std::vector<int> &own_counts,
               const std::vector<int> &visiting_counts, std::int64_t own_first = 0, std::int64_t visiting_first = 0)
      : Blocks(pair_text, of, own_counts, visiting_counts, own_first, visiting_first) {
    variant = test::variant;
    state_errors();
  }
  /// Again after points have changed. Distances in fp32 are held against the tighter bound of plain fp32 arithmetic;
  /// inner products of long points that lie in one direction lose more, since the unit cuts off all their sums.
  void state_errors() {
    if (shape.precision == Precision::fp32 && !oracle_pair(text).inner()) return;
    table = with_stated_errors(table, oracle_pair(text), norms(own_points), norms(visiting_points),
                               sm80::error(variant, shape), unit_roundoff(shape.precision));
  }
};

std::string name_of(const TileShape &shape, Sides sides) {
  const char *precision = shape.precision == Precision::reduced ? " reduced" : " fp32";
  return std::string(row_rule(shape.row).name) + precision + " d=" + std::to_string(shape.features) +
         " columns=" + std::to_string(shape.columns) + " sides=" + std::to_string(static_cast<int>(sides));
}

/// What both sides of an answer must be.
void check(const TensorBlocks &blocks, Sides sides, WaveSteps steps = {}) {
  SCOPED_TRACE(blocks.text + " " + name_of(blocks.shape, sides));
  TileArrays own = blocks.arrays(true);
  TileArrays visiting = blocks.arrays(false);
  const auto own_before = own.state().copy();
  const auto visiting_before = visiting.state().copy();
  emulate(make_call(blocks.shape, own, visiting, PairPattern::rectangle, sides),
          {variant, steps, CudaBlock::Order::forward});
  double worst = 0;
  for (const bool side : {true, false}) {
    TileArrays &arrays = side ? own : visiting;
    if (!(side ? has_own(sides) : has_visiting(sides))) {
      EXPECT_EQ(arrays.state().copy(), side ? own_before : visiting_before) << "a state was touched";
      continue;
    }
    const Bounded expected = blocks.expected(side);
    const std::vector<double> value = arrays.finish();
    EXPECT_EQ(outside(value, expected), "") << (side ? "own" : "visiting");
    worst = std::max(worst, worst_ratio(value, expected));
  }
  if (std::getenv("FLASHRING_TEST_RATIOS") != nullptr)
    std::printf("ratio %.3f %s %s\n", worst, blocks.text.c_str(), name_of(blocks.shape, sides).c_str());
}

constexpr Precision precisions[] = {Precision::fp32, Precision::reduced};

class Sm80TensorPairs : public ::testing::TestWithParam<std::string> {};

TEST_P(Sm80TensorPairs, EveryRule) {
  const std::string text = spread_pair(GetParam(), 9);
  for (const Precision precision : precisions) {
    const auto blocks = [&](RowKind row, int columns) {
      return TensorBlocks(text, make_shape(text, row, precision, 9, columns), {T, 33}, {T, 1});
    };
    check(blocks(RowKind::sum, 1), Sides::both);
    check(blocks(RowKind::sum, 8), Sides::both);
    check(blocks(RowKind::logsumexp, 2), Sides::both);
  }
}

std::vector<std::string> tensor_pairs() {
  std::vector<std::string> names;
  for (const std::string &name : all_pair_names())
    if (traits(parse_pair(name).kind).accumulate != Accumulate::difference) names.push_back(name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(Every, Sm80TensorPairs, ::testing::ValuesIn(tensor_pairs()),
                         [](const auto &param) { return param.param; });

class Sm80TensorFeatures : public ::testing::TestWithParam<int> {};

TEST_P(Sm80TensorFeatures, SumsAndSingleWeights) {
  const int d = GetParam();
  for (const char *name : {"gaussian", "inner_exp"})
    for (const Precision precision : precisions) {
      const std::string text = spread_pair(name, d);
      const TileShape shape = make_shape(text, RowKind::sum, precision, d, 1);
      check({text, shape, {T}, {33}}, Sides::both);
      // One visiting row: errors of weights do not average.
      check({text, shape, {T}, {1}}, Sides::own);
    }
}

// Folded: 9 to 25 (reduced 9, 10); pieces: whole and cut chunks, one and several.
INSTANTIATE_TEST_SUITE_P(Some, Sm80TensorFeatures, ::testing::Values(1, 3, 9, 10, 11, 16, 17, 25, 26, 31, 64, 100),
                         ::testing::PrintToStringParamName());

TEST(Sm80TensorColumns, AnyNumber) {
  const std::string text = spread_pair("gaussian", 9);
  for (const Precision precision : precisions)
    for (const int columns : {2, 3, 8, 9, 31, 32, 33, 64}) {
      if (precision == Precision::reduced && columns != 2 && columns != 33) continue;
      const TileShape shape = make_shape(text, RowKind::sum, precision, 9, columns);
      check({text, shape, {T}, {T}}, Sides::both);
      check({text, shape, {70}, {1}}, Sides::own);  // single terms
    }
  const TileShape shape = make_shape(text, RowKind::sum, Precision::fp32, 9, 33);
  for (const Sides sides : {Sides::own, Sides::visiting}) check({text, shape, {T}, {60, 50}}, sides);
}

TEST(Sm80TensorColumns, AnyNumberOfLogSumExp) {
  const std::string text = spread_pair("gaussian", 9);
  for (const Precision precision : precisions)
    for (const int columns : {0, 1, 9, 33, 64}) {
      if (precision == Precision::reduced && columns != 0 && columns != 33) continue;
      check({text, make_shape(text, RowKind::logsumexp, precision, 9, columns), {T}, {T, 30}}, Sides::own);
    }
  for (const int columns : {0, 3})  // without a mask on the tensor path, with a causal one on the plain kernels
    for (const bool causal : {false, true})
      check({text, make_shape(text, RowKind::logsumexp, Precision::fp32, 30, columns, {causal, false}), {T}, {30}},
            Sides::visiting);
}

/// Patterns of tile pairs with masks: one column, more of them, log-sum-exp.
struct Role {
  RowKind row;
  int columns;
  Sides sides;
};
constexpr Role roles[] = {
    {RowKind::sum, 1, Sides::both}, {RowKind::sum, 3, Sides::both}, {RowKind::logsumexp, 2, Sides::both}};

class Sm80TensorPatterns : public ::testing::TestWithParam<int> {
 protected:
  static Role role() { return roles[GetParam()]; }
  static TileShape shape(Mask mask = {}) {
    return make_shape(text, role().row, Precision::fp32, 9, role().columns, mask);
  }
  static void expect(const Blocks &blocks, TileArrays &own, TileArrays &visiting) {
    EXPECT_EQ(outside(own.finish(), blocks.expected(true)), "");
    if (has_visiting(role().sides)) {
      EXPECT_EQ(outside(visiting.finish(), blocks.expected(false)), "");
    }
  }
  static constexpr const char *text = "gaussian:beta=0.3";
};

const std::vector<int> own_counts = {T, 40, 7};
const std::vector<int> visiting_counts = {65, T, 32};

TEST_P(Sm80TensorPatterns, HalvesAndSkippedPairs) {
  const std::vector<std::uint64_t> kept = {0b101, 0b000, 0b110};
  for (const PairPattern pattern : {PairPattern::rectangle, PairPattern::even_half, PairPattern::odd_half})
    for (const std::uint64_t *bits : {static_cast<const std::uint64_t *>(nullptr), kept.data()}) {
      TensorBlocks blocks(text, shape(), own_counts, visiting_counts);
      blocks.keep(pattern, bits);
      TileArrays own = blocks.arrays(true);
      TileArrays visiting = blocks.arrays(false);
      BlockCall call = make_call(blocks.shape, own, visiting, pattern, role().sides);
      call.kept = bits;
      emulate(call, {variant, {2, 2}, CudaBlock::Order::forward});
      expect(blocks, own, visiting);
    }
}

/// A square answers for the pairs of tiles that `counted` has, (own tiles) words of bits.
void check_square(const TileShape &shape, const std::string &pair, Sides sides,
                  const std::vector<std::uint64_t> &counted, const std::uint64_t *kept = nullptr) {
  TensorBlocks blocks(pair, shape, own_counts, own_counts);
  blocks.make_square();
  blocks.keep(PairPattern::rectangle, counted.data());
  TileArrays square = blocks.arrays(true);
  BlockCall call = make_call(blocks.shape, square, square, PairPattern::square, sides);
  call.kept = kept;
  emulate(call, {variant, {2, 2}, CudaBlock::Order::forward});
  EXPECT_EQ(outside(square.finish(), blocks.expected(true)), "");
}

TEST_P(Sm80TensorPatterns, SquareEqualsRectangle) {
  for (const bool exclude_self : {false, true})
    check_square(shape({false, exclude_self}), text, role().sides, {0b111, 0b111, 0b111});
  // Bits below the diagonal say nothing: pairs there are the other side of those above.
  const std::vector<std::uint64_t> kept = {0b101, 0b111, 0b011};
  check_square(shape(), text, role().sides, {0b101, 0b110, 0b011}, kept.data());
  // Tiles with themselves serve the own side, all others the visiting one.
  check_square(shape(), text, Sides::visiting, {0b001, 0b011, 0b111});
}

TEST_P(Sm80TensorPatterns, MasksCompareRowsOf64Bits) {
  // Rows beyond 32 bits, and rows that pass the largest number of 31 bits inside a tile.
  for (const std::int64_t base : {(std::int64_t{1} << 33) + 7, (std::int64_t{1} << 31) - 100})
    for (const Mask &mask : {Mask{true, false}, Mask{false, true}, Mask{true, true}})
      for (const std::int64_t offset : {std::int64_t{0}, std::int64_t{37}, -(std::int64_t{1} << 32)}) {
        if (offset < 0 && mask.exclude_self) continue;
        SCOPED_TRACE("causal " + std::to_string(mask.causal) + " exclude_self " + std::to_string(mask.exclude_self) +
                     " visiting rows start " + std::to_string(offset) + " after own rows from " + std::to_string(base));
        TensorBlocks blocks(text, shape(mask), {T, 40}, {65, 32}, base, base + offset);
        TileArrays own = blocks.arrays(true);
        TileArrays visiting = blocks.arrays(false);
        emulate(make_call(blocks.shape, own, visiting, PairPattern::rectangle, role().sides), {variant, {}, {}});
        expect(blocks, own, visiting);
      }
}

TEST_P(Sm80TensorPatterns, BitsDependOnTheArgumentsAlone) {
  for (const bool causal : {true, false}) {
    const TensorBlocks blocks(text, shape({causal, !causal}), own_counts, visiting_counts, 0, 30);
    std::vector<std::byte> own_bits;
    std::vector<std::byte> visiting_bits;
    using Order = CudaBlock::Order;
    for (const Order order : {Order::forward, Order::backward, Order::shuffled}) {
      TileArrays own = blocks.arrays(true);
      TileArrays visiting = blocks.arrays(false);
      emulate(make_call(blocks.shape, own, visiting, PairPattern::rectangle, role().sides), {variant, {2, 2}, order});
      if (own_bits.empty()) own_bits = own.state().copy();
      if (visiting_bits.empty()) visiting_bits = visiting.state().copy();
      EXPECT_EQ(own.state().copy(), own_bits);
      EXPECT_EQ(visiting.state().copy(), visiting_bits);
    }
  }
}

TEST_P(Sm80TensorPatterns, StatesAreAddedToAndPaddingStays) {
  const TensorBlocks blocks(text, shape(), {T, 40}, {65});
  TileArrays own = blocks.arrays(true);
  TileArrays visiting = blocks.arrays(false);
  own.fill_state_padding(-7);
  visiting.fill_state_padding(-7);
  const BlockCall call = make_call(blocks.shape, own, visiting, PairPattern::rectangle, role().sides);
  for (int n = 0; n < 2; ++n) emulate(call, {variant, {}, CudaBlock::Order::forward});
  const bool sum = role().row == RowKind::sum;
  for (const bool side : {true, false}) {
    if (!side && !has_visiting(role().sides)) continue;
    Bounded twice = blocks.expected(side);
    const std::size_t count = (side ? blocks.own_points : blocks.visiting_points).count();
    for (std::size_t i = 0; i < twice.value.size(); ++i) {
      if (sum) twice.value[i] *= 2;
      if (!sum && i < count) twice.value[i] += std::log(2.0L);
    }
    EXPECT_EQ(outside((side ? own : visiting).finish(), twice, sum ? 2 : 1), "");
  }
  const auto *state = reinterpret_cast<const double *>(own.state().data());
  const int words = row_rule(role().row).state_words(0, role().columns);
  for (int w = 0; w < words; ++w)
    for (int i = 40; i < T; ++i) ASSERT_EQ(state[(words + w) * T + i], -7) << w << " " << i;
}

TEST_P(Sm80TensorPatterns, NoTilesNoChange) {
  const TensorBlocks blocks(text, shape(), own_counts, visiting_counts);
  TileArrays own = blocks.arrays(true);
  TileArrays visiting = blocks.arrays(false);
  const auto before = own.state().copy();
  BlockCall call = make_call(blocks.shape, own, visiting, PairPattern::rectangle, role().sides);
  const std::vector<std::uint64_t> kept(own_counts.size(), 0);
  call.kept = kept.data();
  emulate(call, {variant, {}, CudaBlock::Order::forward});
  call.kept = nullptr;
  call.visiting_tiles = 0;
  emulate(call, {variant, {}, CudaBlock::Order::forward});
  call.own_tiles = 0;
  emulate(call, {variant, {}, CudaBlock::Order::forward});
  EXPECT_EQ(own.state().copy(), before);
}

TEST_P(Sm80TensorPatterns, WeightsFarBelowTheSmallestNumber) {
  const std::string narrow = "gaussian:beta=3000";
  TileShape of = shape();
  of.pair = parse_pair(narrow);
  const TensorBlocks blocks(narrow, of, {T, 40}, {65});
  TileArrays own = blocks.arrays(true);
  TileArrays visiting = blocks.arrays(false);
  emulate(make_call(of, own, visiting, PairPattern::rectangle, role().sides), {variant, {}, CudaBlock::Order::forward});
  expect(blocks, own, visiting);
}

TEST_P(Sm80TensorPatterns, PaddingWhoseWeightIsInfinite) {
  // exp(-<x,y> + 900) of points near 10 is a number, of the zeros in the padding it is none.
  const std::string negative = "inner_exp:s=-1";
  TileShape of = make_shape(negative, role().row, Precision::fp32, 9, role().columns);
  of.pair.parameters[1] = -900;
  TensorBlocks blocks(negative, of, {T, 9}, {17});
  for (double &x : blocks.own_points.rows) x = 10 + 0.1 * x;
  for (double &x : blocks.visiting_points.rows) x = 10 + 0.1 * x;
  blocks.table = make_table(oracle_pair(negative), blocks.own_points, blocks.visiting_points);
  for (Real &l : blocks.table.log_weight) l += 900;
  blocks.state_errors();
  TileArrays own = blocks.arrays(true);
  TileArrays visiting = blocks.arrays(false);
  emulate(make_call(of, own, visiting, PairPattern::rectangle, role().sides), {variant, {}, CudaBlock::Order::forward});
  expect(blocks, own, visiting);
}

class Sm80TensorLogSumExp : public Sm80TensorPatterns {};

TEST_P(Sm80TensorLogSumExp, LogWeightsOfAnySizeAndHiddenRows) {
  TensorBlocks blocks(text, shape(), own_counts, visiting_counts);
  for (double &g : blocks.visiting_weights) g *= 1e4;  // exp overflows and underflows
  for (std::size_t j = 0; j < blocks.visiting_weights.size(); j += 2)
    blocks.visiting_weights[j] = -std::numeric_limits<double>::infinity();
  TileArrays own = blocks.arrays(true);
  TileArrays visiting = blocks.arrays(false);
  emulate(make_call(blocks.shape, own, visiting, PairPattern::rectangle, role().sides), {variant, {}, {}});
  expect(blocks, own, visiting);
}

std::string role_name(const ::testing::TestParamInfo<int> &param) {
  const Role &role = roles[param.param];
  return std::string(row_rule(role.row).name) + "_columns" + std::to_string(role.columns);
}

INSTANTIATE_TEST_SUITE_P(Every, Sm80TensorPatterns, ::testing::Range(0, 3), role_name);
INSTANTIATE_TEST_SUITE_P(Every, Sm80TensorLogSumExp, ::testing::Values(2), role_name);

/// Weights of unit vectors: column 0 of the state is the weight of visiting row j alone.
double own_weight(TensorBlocks &blocks, std::size_t i, std::size_t j) {
  std::fill(blocks.visiting_values.begin(), blocks.visiting_values.end(), 0);
  blocks.visiting_values[j] = 1;
  TileArrays own = blocks.arrays(true);
  TileArrays visiting = blocks.arrays(false);
  emulate(make_call(blocks.shape, own, visiting, PairPattern::rectangle, Sides::own), {variant, {}, {}});
  return own.finish()[i];
}

TEST(Sm80TensorSelfPairs, DistanceZeroForOnePointAlone) {
  for (const Precision precision : precisions)
    for (const int d : {9, 40}) {
      const std::string text = "gaussian:beta=0.7";
      // Row 20 of the visiting tile has the number of own row 50 and is the same point; row 21 is another point.
      TensorBlocks blocks(text, make_shape(text, RowKind::sum, precision, d, 1), {T}, {90}, 1000, 1030);
      for (double &x : blocks.own_points.rows) x *= 50;  // so that roundings of norms are seen
      for (double &x : blocks.visiting_points.rows) x *= 50;
      std::copy_n(blocks.own_points.row(50), d, blocks.visiting_points.rows.begin() + std::ptrdiff_t{20} * d);
      EXPECT_EQ(own_weight(blocks, 50, 20), 1);
      EXPECT_LT(own_weight(blocks, 51, 21), 0.5);
      // The same point under another number: its distance is as good as any.
      std::copy_n(blocks.own_points.row(50), d, blocks.visiting_points.rows.begin() + std::ptrdiff_t{30} * d);
      EXPECT_NE(own_weight(blocks, 50, 30), 1);
    }
}

/// A thread that does not wait for its copies, or for the others.
struct NoWait : CudaThread {
  explicit NoWait(const CudaThread &thread) : CudaThread(thread) {}
  template <int pending>
  void wait_copies() {}
};
struct NoSync : CudaThread {
  explicit NoSync(const CudaThread &thread) : CudaThread(thread) {}
  void sync() {}
};

/// Own sums of one column, by threads of a kind.
template <class Thread>
std::vector<double> sums(const TensorBlocks &blocks) {
  TileArrays own = blocks.arrays(true);
  TileArrays visiting = blocks.arrays(false);
  emulate_as<sm80::TensorSum<true>, Thread>(make_call(blocks.shape, own, visiting, PairPattern::rectangle, Sides::own),
                                            CudaBlock::Order::shuffled);
  return own.finish();
}

TEST(Sm80TensorEmulation, MissingWaitsAreSeen) {
  for (const int d : {9, 40}) {
    const std::string text = spread_pair("gaussian", d);
    const TensorBlocks blocks(text, make_shape(text, RowKind::sum, Precision::fp32, d, 1), {T}, {T, T});
    const Bounded expected = blocks.expected(true);
    EXPECT_EQ(outside(sums<CudaThread>(blocks), expected), "");
    EXPECT_NE(outside(sums<NoWait>(blocks), expected), "");
    EXPECT_NE(outside(sums<NoSync>(blocks), expected), "");
  }
}

}  // namespace
}  // namespace flashring::test
