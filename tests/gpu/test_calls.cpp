// What a block call on a device promises beside its sums: patterns, masks by 64-bit rows, skipped pairs of tiles,
// square = plain, the same bits in every run, states that are added to, padding that stays apart, no work, weights far
// below the smallest number, log weights of any size; and reset and merge of states.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "flashring/options.hpp"
#include "gpu/blocks.hpp"
#include "support/fake_device.hpp"
#include "support/scatter.hpp"

namespace flashring::test {
namespace {

const char *const text = "gaussian:beta=0.7";

using Parameters = std::tuple<std::string, RowKind, Precision, int>;

class Calls : public ::testing::TestWithParam<Parameters> {
 protected:
  static const Backend &backend() { return backend_named(std::get<0>(GetParam())); }
  static RowKind row() { return std::get<1>(GetParam()); }
  static TileShape shape(int columns, Mask mask = {}, const char *pair = text) {
    return {parse_pair(pair), row(), 0, std::get<2>(GetParam()), std::get<3>(GetParam()), columns, mask};
  }
  /// Full and ragged tiles; more tiles than blocks of a small wave.
  static Cut cut(std::int64_t own_first = 0, std::int64_t visiting_first = 0) {
    const int T = backend().tile_rows;
    return {{T, 40, T, 7, std::min(T, 96)}, {std::min(T, 65), T, 32}, own_first, visiting_first};
  }

  void SetUp() override {
    if (!backend().supports(shape(3))) GTEST_SKIP() << backend().name << " does not do " << name_of(shape(3));
  }

  struct Answers {
    Bounded own, visiting;
  };
  static Answers answers(const Blocks &blocks) { return {blocks.expected(true), blocks.expected(false)}; }

  static void check(const Blocks &blocks, const Answers &expected, const BlockWork &work) {
    TileArrays own = blocks.arrays(true);
    TileArrays visiting = blocks.arrays(false);
    evaluate_block(blocks.backend, blocks.shape, work, own, visiting);
    EXPECT_EQ(has_own(work.sides) ? outside(own.finish(), expected.own) : "", "");
    EXPECT_EQ(has_visiting(work.sides) ? outside(visiting.finish(), expected.visiting) : "", "");
  }
  static void check(const Blocks &blocks, const BlockWork &work) { check(blocks, answers(blocks), work); }
};

TEST_P(Calls, PatternsAndSkippedPairs) {
  const Blocks all(backend(), text, shape(3), cut());
  for (const PairPattern pattern : {PairPattern::rectangle, PairPattern::even_half, PairPattern::odd_half})
    for (const Kept &kept : {Kept{}, Kept{0b101, 0b000, 0b010, 0b111, 0b100}, Kept{0, 0, 0, 0, 0}}) {
      Blocks blocks = all;
      blocks.keep(pattern, kept);
      const Answers expected = answers(blocks);
      for (const Sides sides : all_sides) {
        SCOPED_TRACE("pattern " + std::to_string(static_cast<int>(pattern)) + ", " + std::to_string(kept.size()) +
                     " words, sides " + std::to_string(static_cast<int>(sides)));
        BlockWork work;
        work.pattern = pattern;
        work.sides = sides;
        work.kept = kept;
        check(blocks, expected, work);
      }
    }
}

TEST_P(Calls, MoreVisitingTilesThanBitsOfAWord) {
  Cut many = cut();
  many.visiting.assign(70, 3);
  many.own = {9, 5};
  Blocks blocks(backend(), text, shape(2), many);
  const Kept kept = {~std::uint64_t{0} ^ 0xf0, 0b101010, std::uint64_t{1} << 63 | 1, 0b010101};
  blocks.keep(PairPattern::rectangle, kept);
  BlockWork work;
  work.kept = kept;
  check(blocks, work);
}

TEST_P(Calls, MasksCompareRowsOf64Bits) {
  for (const std::int64_t base : {(std::int64_t{1} << 33) + 7, (std::int64_t{1} << 31) - 100})
    for (const Mask &mask : {Mask{true, false}, Mask{false, true}, Mask{true, true}})
      for (const std::int64_t offset : {std::int64_t{0}, std::int64_t{150}, -(std::int64_t{1} << 32)}) {
        SCOPED_TRACE("causal " + std::to_string(mask.causal) + " exclude_self " + std::to_string(mask.exclude_self) +
                     " visiting rows start " + std::to_string(offset) + " after own rows from " + std::to_string(base));
        check(Blocks(backend(), text, shape(1, mask), cut(base, base + offset)), {});
      }
}

TEST_P(Calls, SquareEqualsPlain) {
  for (const bool exclude_self : {false, true})
    for (const int columns : {1, 33}) {
      Blocks blocks(backend(), text, shape(columns, {false, exclude_self}), cut());
      blocks.make_square();
      const Bounded expected = blocks.expected(true);
      TileArrays plain = blocks.arrays(true);
      TileArrays giver = blocks.arrays(false);
      BlockWork work;
      work.sides = Sides::own;
      evaluate_block(backend(), blocks.shape, work, plain, giver);
      EXPECT_EQ(outside(plain.finish(), expected), "");
      TileArrays square = blocks.arrays(true);
      work.pattern = PairPattern::square;
      work.sides = Sides::both;
      evaluate_block(backend(), blocks.shape, work, square, square);
      EXPECT_EQ(outside(square.finish(), expected), "");
    }
}

TEST_P(Calls, TheSameBitsInEveryRun) {
  for (const int columns : {1, 10, 33}) {
    const Blocks blocks(backend(), text, shape(columns, {true, false}), cut(0, 30));
    std::vector<std::byte> own_bits;
    std::vector<std::byte> visiting_bits;
    for (int run = 0; run < 4; ++run) {
      TileArrays own = blocks.arrays(true);
      TileArrays visiting = blocks.arrays(false);
      evaluate_block(backend(), blocks.shape, {PairPattern::even_half, Sides::both, {}, 1, false}, own, visiting);
      if (run == 0) own_bits = own.state().copy();
      if (run == 0) visiting_bits = visiting.state().copy();
      EXPECT_EQ(own.state().copy(), own_bits) << columns;
      EXPECT_EQ(visiting.state().copy(), visiting_bits) << columns;
    }
  }
}

TEST_P(Calls, StatesAreAddedToAndPaddingStaysApart) {
  const Blocks blocks(backend(), text, shape(3), cut());
  for (const double padding : {-7.0, 1e30, std::nan("")}) {
    TileArrays own = blocks.arrays(true);
    TileArrays visiting = blocks.arrays(false);
    own.fill_state_padding(padding);
    visiting.fill_state_padding(padding);
    evaluate_block(backend(), blocks.shape, {PairPattern::rectangle, Sides::both, {}, 2, false}, own, visiting);
    for (const bool side : {true, false}) {
      const TileArrays &arrays = side ? own : visiting;
      Bounded twice = blocks.expected(side);
      const std::size_t rows = arrays.global_rows().size();
      for (std::size_t i = 0; i < twice.value.size(); ++i) {
        if (row() == RowKind::sum) twice.value[i] *= 2;
        if (row() == RowKind::logsumexp && i < rows) twice.value[i] += std::log(2.0L);
      }
      EXPECT_EQ(outside(arrays.finish(), twice, row() == RowKind::sum ? 2 : 1), "") << "padding " << padding;
    }
  }
}

TEST_P(Calls, WeightsFarBelowTheSmallestNumber) {
  const char *const narrow = "gaussian:beta=3000";
  check(Blocks(backend(), narrow, shape(2, {}, narrow), cut()), {});
}

TEST_P(Calls, PaddingWhoseWeightIsInfinite) {
  if (std::get<3>(GetParam()) > 8) GTEST_SKIP() << "with one feature only: the case of few features has it";
  // exp(-xy + 900) of points near 30 is a number, of the zeros in the padding it is none.
  const char *const negative = "inner_exp:s=-1";
  TileShape of = shape(2, {}, negative);
  of.features = 1;
  of.pair.parameters[1] = -900;
  const int T = backend().tile_rows;
  Blocks blocks(backend(), negative, of, {{T, 9}, {17}});
  blocks.shift_points(30);
  check(blocks, {});
}

TEST_P(Calls, LogWeightsOfAnySizeAndHiddenRows) {
  if (row() == RowKind::sum) GTEST_SKIP() << "sums have no log weights";
  Blocks blocks(backend(), text, shape(2), cut());
  blocks.scale_log_weights(1e4);  // exp overflows and underflows
  blocks.hide_visiting_rows();
  check(blocks, {});
}

std::string param_name(const ::testing::TestParamInfo<Parameters> &param) {
  const auto &[name, row, precision, d] = param.param;
  return test_name(name + "_" + row_rule(row).name + "_" + to_string(precision) + "_d" + std::to_string(d));
}

INSTANTIATE_TEST_SUITE_P(Every, Calls,
                         ::testing::Combine(::testing::ValuesIn(device_names()), ::testing::ValuesIn(all_rows),
                                            ::testing::ValuesIn(all_precisions), ::testing::Values(3, 40)),
                         param_name);

class States : public ::testing::TestWithParam<std::tuple<std::string, RowKind>> {};

/// References of log-sum-exp are whole numbers, so its merge is exact up to the sum of two.
TEST_P(States, ResetAndMergeAreTheRules) {
  const Backend &backend = backend_named(std::get<0>(GetParam()));
  const TileShape of{parse_pair(text), std::get<1>(GetParam()), 0, Precision::fp64, 3, 3, {}};
  const RowRule &rule = row_rule(of.row);
  constexpr std::size_t tiles = 2;
  const auto rows = static_cast<std::size_t>(backend.tile_rows);
  const auto words = static_cast<std::size_t>(rule.state_words(0, 3));
  const std::size_t count = tiles * rows * words;
  std::vector<double> expected(count);
  std::vector<double> from = random_numbers(count, run_seed());
  const auto bytes = [](std::vector<double> &v) { return reinterpret_cast<std::byte *>(v.data()); };
  AlignedBuffer into(backend.device);
  AlignedBuffer other(backend.device);
  into.resize(count * 8);
  other.resize(count * 8);
  const auto compare = [&] {
    std::vector<double> got(count);
    backend.device->download(bytes(got), into.data(), count * 8);
    wait_for(backend.device);
    EXPECT_EQ(got, expected);
  };
  reset_states(backend, of, tiles, into.data());
  for (std::size_t t = 0; t < tiles; ++t) rule.identity(0, 3, rows, bytes(expected) + t * rows * words * 8);
  compare();
  for (int round = 0; round < 3; ++round) {
    for (std::size_t at = 0; at < count; ++at)
      if (of.row == RowKind::logsumexp && at / rows % words == 0)
        from[at] = std::floor(100 * from[at] + 300 * round * from[(at + 1) % rows]);
    backend.device->upload(other.data(), bytes(from), count * 8);
    merge_states(backend, of, tiles, into.data(), other.data());
    for (std::size_t t = 0; t < tiles; ++t)
      rule.merge(0, 3, rows, bytes(expected) + t * rows * words * 8, bytes(from) + t * rows * words * 8);
    compare();
  }
}

INSTANTIATE_TEST_SUITE_P(Every, States,
                         ::testing::Combine(::testing::ValuesIn(device_names()), ::testing::ValuesIn(all_rows)),
                         [](const auto &param) {
                           return test_name(std::get<0>(param.param) + "_" + row_rule(std::get<1>(param.param)).name);
                         });

}  // namespace
}  // namespace flashring::test
